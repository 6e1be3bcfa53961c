"""One task a run: looks at the run's state, does the phase, looks again, until nothing moves by itself."""

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from datetime import timedelta
from typing import Any, Final, TypeVar

import structlog
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.common.errors import ServiceError, Unavailable
from libs.common.names import RunName
from services.orchestrator.archive.archive import PublishedGone
from services.orchestrator.conductor import (
    auditing,
    awaiting,
    ingesting,
    planning,
    publishing,
    transforming,
)
from services.orchestrator.conductor.admission import Admission
from services.orchestrator.conductor.assignments import RunTimedOut, deadline_of
from services.orchestrator.conductor.attempts import SourceFailed
from services.orchestrator.conductor.failures import failure_of
from services.orchestrator.conductor.live import Live, Setback
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.conductor.publishing import TableLocks
from services.orchestrator.conductor.steps import BOUNDED, answered, ends
from services.orchestrator.retries.causes import cause_of, class_of
from services.orchestrator.retries.pauses import STEP, TIDYING
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import OPEN_STATES, key_of
from services.orchestrator.runs.run import IllegalMove, Run
from services.orchestrator.runs.states import NEXT, RunState

log = structlog.get_logger()

FENCED_EVERY: Final = 5
"""Failed tries of a step after which a leader asks whether it still leads: it may be what is wrong."""

UNTIDIED_FOR: Final = timedelta(days=1)
"""How long before the journal's last record a run may have ended that is tidied at a start."""

HOUR: Final = timedelta(hours=1)
"""How long BigQuery remembers the streams that a project has opened."""

FAILED_FOR: Final = timedelta(days=30)
"""How long a failed run may be retried."""

TENANT_ENDED: Final = frozenset({"TENANT_SUSPENDED", "TENANT_DELETED"})

T = TypeVar("T")


class Conductor:
    """Drives all open runs. Every decision goes through the journal first."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.locks = TableLocks()
        self.live: dict[RunName, Live] = {}
        self.admission = Admission(mesh.history, clock=mesh.clock, sleep=mesh.sleep)
        self._intending: defaultdict[RunName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: dict[RunName, asyncio.Task[None]] = {}
        self._asked: set[asyncio.Task[Any]] = set()
        self._crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        """Go on with every open run of the journal; what is publishing keeps its table."""
        runs = [x for x in self.mesh.history.ledger.runs.values() if x.state in OPEN_STATES]
        for run in runs:
            if run.state is RunState.PUBLISHING:
                self.locks.restore(table_of(run), run.name)
            for table in transforming.unsettled(run):
                self.locks.restore(table, run.name)
        for time in self.mesh.history.ledger.streams_since(self.mesh.clock() - HOUR):
            ago = (self.mesh.clock() - time).total_seconds()
            self.mesh.dispatcher.stream_opened(seconds_ago=max(ago, 0.0))
        for run in sorted(runs, key=lambda x: x.position):
            self.start(run)
        for run in self._untidied():
            self.tidy(run)

    def _untidied(self) -> list[Run]:
        """Return runs whose tidying a kill may have cut off: it begins after their last record."""
        runs = self.mesh.history.ledger.runs.values()
        last = max((run.update_time for run in runs), default=None)
        return [
            run
            for run in runs
            if tidied_late(run) and last is not None and last - run.update_time <= UNTIDIED_FOR
        ]

    def start(self, run: Run) -> None:
        """Begin to drive an open run; nothing happens if somebody does already."""
        driving = self._tasks.get(run.name)
        if run.state not in OPEN_STATES or (driving and not driving.done()):
            return
        task = asyncio.create_task(self._drive(run.name), name=str(run.name))
        self._tasks[run.name] = task
        task.add_done_callback(lambda done: self._ended(run.name, done))

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out what a caller asked, to its end, even when the caller goes away meanwhile."""
        task = asyncio.create_task(work)
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        return await asyncio.shield(task)

    def soon(self, work: Coroutine[Any, Any, object]) -> None:
        """Carry out what nobody waits for, beside everything else; its failure is logged."""
        task = asyncio.create_task(work)
        self._asked.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._asked.discard(task)
        if not task.cancelled() and (error := task.exception()):
            unexpected = None if isinstance(error, ServiceError) else error
            log.warning("work.failed", cause=str(error), exc_info=unexpected)

    def _ended(self, name: RunName, task: asyncio.Task[None]) -> None:
        """Whoever ended the run, and whatever became of the task that drove it: what it left goes now."""
        if self._tasks.get(name) is task:
            del self._tasks[name]
            self.live.pop(name, None)
        run = self.mesh.history.ledger.runs.get(name)
        if run and tidied_late(run):
            self.tidy(run)
        if task.cancelled():
            return
        if error := task.exception():
            self._crash(error)

    def _crash(self, error: BaseException) -> None:
        if not self._crashed.done():
            self._crashed.set_exception(error)

    async def watch(self) -> None:
        """Wait for ever; raise if a run's task crashed or PublishedGone: the process ends and the journal goes on."""
        await self._crashed

    async def stop(self, name: RunName) -> None:
        """Stop working on a run and wait until nothing of it runs here."""
        if task := self._tasks.get(name):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Stop working on all runs; the journal has them."""
        await self._forsake()
        for name in list(self._tasks):
            await self.stop(name)
        await self._forsake()
        await self.admission.close()

    async def _forsake(self) -> None:
        for asked in self._asked:
            asked.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)

    async def _drive(self, name: RunName) -> None:
        """Do phase after phase; each begins when the decision that it follows from is durable."""
        run = self.mesh.history.ledger.runs[name]
        with _context(run):
            await self._recall(run)
            while (run := self.mesh.history.ledger.runs[name]).state in OPEN_STATES:
                await self.mesh.history.settled(run.position)
                await self._step(run)

    async def _recall(self, run: Run) -> None:
        """Know what the run's pipeline has published, before anything is decided by it."""
        for failed in itertools.count(1):
            try:
                return await self.mesh.recall(key_of(run))
            except PublishedGone:
                raise
            except Unavailable as error:
                log.warning("recall.delayed", cause=str(error), tries=failed)
                await self.mesh.retries.wait(STEP, failed, cause_of(error, run.spec))
        return None

    async def _step(self, run: Run) -> None:
        """Do one phase; a failing one ends in a record, a delayed one is tried again."""
        tracer = trace.get_tracer("convergence.orchestrator")
        parent = TraceContextTextMapPropagator().extract({"traceparent": run.created.traceparent})
        with tracer.start_as_current_span(f"run.{run.state.lower()}", context=parent) as span:
            span.set_attribute("run", str(run.name))
            log.info("run.entered", state=run.state, attempt=run.attempt)
            try:
                await self._patiently(run)
            except PublishedGone:
                raise
            except Exception as error:  # noqa: BLE001 every failure of a phase is the run's
                await self._fail(run, innermost(error))

    async def _patiently(self, run: Run) -> None:
        """Do the phase until it ends, the run has moved on, or an error ends it."""
        phase, failed = PHASES[run.state], 0
        if live := self.live.get(run.name):
            live.step = None
        while (now := self.mesh.run(run)).state is run.state:
            try:
                await phase(self, now)
            except Exception as error:
                cause = innermost(error)
                failed += 1
                if self.mesh.run(run).state is not run.state:
                    _say_moved(self.mesh.run(run), cause)
                    return
                if ends(run.state, cause, failed):
                    raise
                unexpected = None if isinstance(cause, ServiceError) else cause
                log.warning(
                    "step.delayed",
                    state=run.state,
                    cause=str(cause),
                    tries=failed,
                    exc_info=unexpected,
                )
            else:
                self.mesh.retries.succeeded(answered(run))
                return
            self._in_time(run)
            self._note(run, cause, failed)
            if failed % FENCED_EVERY == 0:
                await self.mesh.history.fence()
            await self.mesh.retries.wait(STEP, failed, cause_of(cause, run.spec))
            self._in_time(run)

    def _note(self, run: Run, error: BaseException, failed: int) -> None:
        """Keep what the last try of a step said, for whoever asks what the run waits for."""
        said = failure_of(error)
        live = self.live.setdefault(run.name, Live())
        live.step = Setback(tries=failed, reason=said.reason, message=said.message)

    def _in_time(self, run: Run) -> None:
        """Raise RunTimedOut where a run is still in this state and its time is over."""
        still = run.state in BOUNDED and self.mesh.run(run).state is run.state
        if still and self.mesh.clock() >= deadline_of(run):
            raise RunTimedOut(run.spec.limits.timeout_seconds)

    async def _fail(self, run: Run, error: BaseException) -> None:
        if not isinstance(error, ServiceError):
            log.error("run.crashed", exc_info=error)
        if run.state is RunState.TRANSFORMING:
            await transforming.fail(self.mesh, run, error)
            transforming.release(run, self.locks)
            return
        failure = error.failure if isinstance(error, SourceFailed) else failure_of(error)
        log.warning("run.failed", reason=failure.reason, cause=failure.message)
        try:
            with contextlib.suppress(IllegalMove):
                await self.mesh.record(run, await self._end(run, failure))
        finally:
            self.locks.give(table_of(run), run.name)

    async def _end(self, run: Run, failure: r.Failure) -> r.RunFailed | r.RunCancelling:
        """Return what becomes of a run that cannot go on; show what the journal names as quarantined."""
        if failure.reason in TENANT_ENDED and RunState.CANCELLING in NEXT[run.state]:
            return r.RunCancelling(by="platform", reason=failure.message)
        now = self.mesh.run(run)
        await self.mesh.history.settled(now.position)
        with contextlib.suppress(ServiceError):
            await auditing.show_quarantine(self.mesh, now)
        return r.RunFailed(failure=failure)

    async def begin(self, run: Run) -> None:
        """PENDING → PLANNING, when others have succeeded that it waits for, and it is the run's turn."""
        if run.created.after:
            await awaiting.others(self.mesh, run)
        async with self.admission.turn(run):
            await self.mesh.record(run, r.RunPlanning())

    async def plan(self, run: Run) -> None:
        """PLANNING → INGESTING."""
        if run.snapshot is None:
            run = await self.mesh.record(run, r.RunPlanning())
        async with self._within(run):
            await planning.plan(self.mesh, run)

    async def ingest(self, run: Run) -> None:
        """INGESTING → AUDITING."""
        live = self.live.setdefault(run.name, Live())
        try:
            async with self._within(run):
                await ingesting.ingest(self.mesh, run, live)
        finally:
            live.clear()

    @contextlib.asynccontextmanager
    async def _within(self, run: Run) -> AsyncGenerator[None]:
        """Have what `limits.timeout` leaves of a run's time for the block; raise RunTimedOut after it."""
        seconds = (deadline_of(run) - self.mesh.clock()).total_seconds()
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                yield
        except TimeoutError:
            raise RunTimedOut(run.spec.limits.timeout_seconds) from None

    async def audit(self, run: Run) -> None:
        """AUDITING → HELD, PUBLISHING, SUPERSEDED, INGESTING or FAILED."""
        audited = await auditing.audit(self.mesh, run)
        if audited.state is RunState.AUDITING:
            await self._intend(audited)

    async def knowing(self, work: Awaitable[T]) -> T:
        """Do what needs to know what was published; this orchestrator ends where nobody does.

        Raises PublishedGone then, and whatever `work` does.
        """
        try:
            return await work
        except PublishedGone as gone:
            self._crash(gone)
            raise

    async def approve(self, run: Run, *, by: str, reason: str) -> Run:
        """HELD → PUBLISHING, acknowledged when the intent is durable; it goes on by itself."""
        after = await self.knowing(self._intend(run, by=by, reason=reason))
        await self.restart(after)
        return after

    async def restart(self, run: Run) -> None:
        """Have a run driven from the state that it is in now, whatever is done for it yet."""
        await self.stop(run.name)
        self.start(self.mesh.run(run))

    async def _intend(self, run: Run, *, by: str = "", reason: str = "") -> Run:
        """Record the intent under the table's lock; one call at a time of a run, whose lock it is."""
        async with self._intending[run.name]:
            await self.mesh.recall(key_of(run))
            await self.locks.take(table_of(run), run.name)
            try:
                after = await publishing.intend(self.mesh, run, by=by, reason=reason)
            finally:
                if self.mesh.run(run).state is not RunState.PUBLISHING:
                    self.locks.give(table_of(run), run.name)
        return after

    def tidy(self, run: Run) -> None:
        """Remove what a run has left that ended without publishing, beside everything else."""
        self.soon(self._tidy(run))

    async def _tidy(self, run: Run) -> None:
        await self.mesh.history.settled(run.position)
        tidied = self.mesh.warehouse.tidy_unpublished
        await self.mesh.retries.until_done(lambda: tidied(run), TIDYING, run.spec, stubborn=True)

    async def publish(self, run: Run) -> None:
        """PUBLISHING → TRANSFORMING, INGESTING or FAILED."""
        await self.locks.take(table_of(run), run.name)
        try:
            await publishing.publish(self.mesh, run)
        finally:
            if self.mesh.run(run).state is not RunState.PUBLISHING:
                self.locks.give(table_of(run), run.name)

    async def transform(self, run: Run) -> None:
        """TRANSFORMING → SUCCEEDED."""
        try:
            await publishing.tidy(self.mesh, run)
        except ServiceError as error:
            if class_of(error).passes:
                raise
            log.warning("tidying.refused", cause=str(error))
        self._let_go(run)
        await transforming.transform(self.mesh, run, self.locks)
        await transforming.finish_overtaken(self.mesh, run)

    def _let_go(self, run: Run) -> None:
        """End the tasks that wait for the end of runs that a publication has superseded."""
        for other in self.mesh.history.ledger.of(run.name.parent):
            task = self._tasks.get(other.name)
            if task and other.state is RunState.SUPERSEDED:
                task.cancel()

    async def expire(self, run: Run) -> None:
        """HELD → SUPERSEDED when newer looks are published already, CANCELLING when its time is over."""
        if await self._overtaken(run):
            return
        assert run.held is not None
        seconds = (run.held.expire_time - self.mesh.clock()).total_seconds()
        await self.mesh.sleep(max(seconds, 0.0))
        late = r.RunCancelling(by="hold_for", reason="nobody approved it in time")
        await self.mesh.record(run, late)

    async def forget(self, run: Run) -> None:
        """FAILED → SUPERSEDED when newer looks are published already, CANCELLED when nobody has retried it for long."""
        if await self._overtaken(run):
            return
        seconds = (run.update_time + FAILED_FOR - self.mesh.clock()).total_seconds()
        await self.mesh.sleep(max(seconds, 0.0))
        late = r.RunCancelled(by="platform", reason="nobody retried it in time")
        await self.mesh.record(run, late)

    async def _overtaken(self, run: Run) -> bool:
        """End a run that rests, where newer looks at its whole scope were published before it did.

        Where they are published later, who publishes them ends it.
        """
        newer = self.mesh.history.ledger.superseded(run)
        if newer is None:
            return False
        await self.mesh.record(run, r.RunSuperseded(by_run=newer))
        return True

    async def finish_cancel(self, run: Run) -> None:
        """CANCELLING → CANCELLED."""
        await self.mesh.warehouse.tidy_unpublished(run)
        await self.mesh.record(run, r.RunCancelled())


PHASES: Final[dict[RunState, Callable[[Conductor, Run], Awaitable[None]]]] = {
    RunState.PENDING: Conductor.begin,
    RunState.PLANNING: Conductor.plan,
    RunState.INGESTING: Conductor.ingest,
    RunState.AUDITING: Conductor.audit,
    RunState.PUBLISHING: Conductor.publish,
    RunState.TRANSFORMING: Conductor.transform,
    RunState.HELD: Conductor.expire,
    RunState.FAILED: Conductor.forget,
    RunState.CANCELLING: Conductor.finish_cancel,
}


def tidied_late(run: Run) -> bool:
    """Return whether a run's end is recorded before what it leaves is removed."""
    cancelled_failed = run.state is RunState.CANCELLED and run.failure is not None
    return run.state is RunState.SUPERSEDED or cancelled_failed


def _say_moved(run: Run, error: BaseException) -> None:
    if isinstance(error, IllegalMove):
        log.info("run.moved_by_other", state=run.state)
    else:
        log.warning("run.moved", state=run.state, cause=str(error), exc_info=error)


def table_of(run: Run) -> str:
    """Return the table that a run publishes to."""
    return run.spec.target.table_id(run.name.tenant)


def innermost(error: BaseException) -> BaseException:
    """Return the first error of nested groups: the one that ended the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextlib.contextmanager
def _context(run: Run) -> Generator[None]:
    trace_id = run.created.traceparent.split("-")[1] if run.created.traceparent else ""
    with structlog.contextvars.bound_contextvars(
        tenant_id=run.name.tenant,
        pipeline_id=run.name.pipeline,
        run_id=run.name.run,
        trace_id=trace_id,
    ):
        yield
