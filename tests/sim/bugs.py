"""How bugs are planted, and what the orchestrator does with each."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable, Generator, Iterable
from datetime import datetime
from typing import Any

from libs.common.errors import ServiceError
from libs.common.names import PipelineName, RunName
from services.orchestrator.backfills import decisions
from services.orchestrator.backfills.backfill import Backfill, BackfillState
from services.orchestrator.conductor import (
    auditing,
    commands,
    conductor,
    ingesting,
    publishing,
    steps,
    transforming,
)
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournal
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import OPEN_STATES, Ledger, Newest, scope
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import CANCELLABLE, NEXT, RunState
from services.orchestrator.schedules import schedule as schedules
from services.orchestrator.schedules.records import FiresDecided
from services.orchestrator.schedules.schedule import Schedule
from services.orchestrator.schedules.scheduler import Scheduler
from services.orchestrator.specs import TransformSpec
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from tests.sim.neighbours import LeaseElection, SimWarehouse

Planting = Callable[[], contextlib.AbstractContextManager[None]]


def replaced(owner: Any, name: str, by: Any) -> Planting:
    """Return a planting that has `by` in the place of an attribute, or of a dictionary's value."""

    @contextlib.contextmanager
    def planted() -> Generator[None]:
        if isinstance(owner, dict):
            before, owner[name] = owner[name], by
        else:
            before = getattr(owner, name)
            setattr(owner, name, by)
        try:
            yield
        finally:
            if isinstance(owner, dict):
                owner[name] = before
            else:
                setattr(owner, name, before)

    return planted


def both(*plantings: Planting) -> Planting:
    """Return a planting of several bugs: one alone would be harmless."""

    @contextlib.contextmanager
    def planted() -> Generator[None]:
        with contextlib.ExitStack() as stack:
            for planting in plantings:
                stack.enter_context(planting())
            yield

    return planted


async def at_once(self: History, position: int) -> None:
    """Nothing is waited for."""


_OPEN = MemoryJournal.open


async def unsealed(self: MemoryJournal, term: Term) -> tuple[list[r.Record], str]:
    sealed = set(self.shared.sealed)
    try:
        return await _OPEN(self, dataclasses.replace(term, predecessor=""))
    finally:
        self.shared.sealed = sealed


async def read_first(self: MemoryJournal, term: Term) -> tuple[list[r.Record], str]:
    read = list(self.shared.records)
    await asyncio.sleep(0.3)
    return read, (await _OPEN(self, term))[1]


async def unannounced(self: LeaseElection, stream: str, epoch: int = 0) -> None:
    """A successor does not learn of the stream."""


_GROUP = History._take_group


def backwards(self: History) -> list[r.Record]:
    return _GROUP(self)[::-1]


async def believing(mesh: Mesh, run: Run) -> list[str]:
    """Rows of tries that the journal does not name stay in staging, and are published."""
    counts = await mesh.warehouse.chunk_counts(run)
    named = {(done.chunk_id, done.chunk_attempt): done for done in run.landed.values()}
    return [
        done.chunk_id
        for key, done in named.items()
        if done.landed_row_count and counts.get(key) is None
    ]


async def nothing_lost(mesh: Mesh, run: Run) -> list[str]:
    return []


async def unlocked(self: publishing.TableLocks, table: str, run: object) -> None:
    """Whoever asks has the table."""


def all_mine(self: Ledger, run: Run) -> Newest:
    columns = [column for column, _ in run.scope]
    values = [(value,) for value in run.scope[0][1]] if run.scope else []
    if len(columns) > 1:
        return Newest(mine=run.scope, older=())
    return Newest(mine=scope(columns, values), older=(), deliveries=run.deliveries)


_RECORD = Mesh.record


async def hasty(self: Mesh, run: Run, detail: r.Detail, *, patient: bool = False) -> Run:
    """A publication begins before its intent is durable."""
    if isinstance(detail, r.RunPublishing):
        after = self.history.decide(run.name, detail)
        assert after is not None
        return after
    return await _RECORD(self, run, detail, patient=patient)


async def tidy_first(self: Mesh, run: Run, detail: r.Detail, *, patient: bool = False) -> Run:
    """What a publication made needless is dropped before the journal says that it happened."""
    if isinstance(detail, r.RunPublished):
        assert run.publishing is not None
        await self.warehouse.tidy_published(run, run.publishing)
    return await _RECORD(self, run, detail, patient=patient)


_PUBLISH_PHASE = publishing.publish


async def outcome_first(mesh: Mesh, run: Run) -> Run:
    """The outcome is recorded, and then the effect follows."""
    if run.spec.write.mode == "merge":
        return await _PUBLISH_PHASE(mesh, run)
    assert run.publishing is not None
    after = await mesh.record(run, r.RunPublished(restatement=None, won=None))
    if run.publishing.streams:
        await mesh.warehouse.commit_target(run, run.publishing.streams)
    if run.publishing.job_id:
        await mesh.warehouse.publish(run, run.publishing)
    return after


async def taken_for_done(mesh: Mesh, run: Run) -> Run:
    """What a predecessor intended is believed to be done."""
    intents = [x for x in mesh.history.ledger.history[run.name] if x.detail == run.publishing]
    if intents[-1].epoch == mesh.history.epoch:
        return await _PUBLISH_PHASE(mesh, run)
    won = await publishing._won(mesh, run) if run.spec.write.mode == "merge" else None
    return await mesh.record(run, r.RunPublished(restatement=None, won=won))


_ENDS = steps.ends


def lost_is_failed(state: RunState, error: BaseException, failed: int) -> bool:
    return state is RunState.PUBLISHING or _ENDS(state, error, failed)


async def eager(self: Conductor, name: Any) -> None:
    """A phase begins whether or not the decision that it follows from is durable."""
    run = self.mesh.history.ledger.runs[name]
    with conductor._context(run):
        while (run := self.mesh.history.ledger.runs[name]).state in OPEN_STATES:
            await self._step(run)


async def end_at_once(
    self: Conductor, run: Run, failure: r.Failure
) -> r.RunFailed | r.RunCancelling:
    """A run that fails shows the quarantine of tries that the journal may never name."""
    with contextlib.suppress(ServiceError):
        await auditing.show_quarantine(self.mesh, self.mesh.run(run))
    return r.RunFailed(failure=failure)


def idle(self: Conductor) -> None:
    """Open runs of a predecessor are left alone."""


async def abandoned(work: asyncio.Task[Any]) -> None:
    """A call goes on by itself when its caller is cancelled."""


async def untidy(self: SimWarehouse, run: Run) -> None:
    """Nobody removes what a run leaves that published nothing."""


_ENDED = Conductor._ended


def tidy_heard(self: Conductor, name: RunName, task: asyncio.Task[None]) -> None:
    """What a run left is removed where whoever recorded its end lived to hear that."""
    if not task.cancelled():
        _ENDED(self, name, task)
    elif self._tasks.get(name) is task:
        del self._tasks[name]


_COMMITTER = ingesting._Committer


class Whole(_COMMITTER):
    """Commits whatever this process has decided, durable or not."""

    async def _commit(self) -> None:
        self._named = dict(self._mesh.run(self._run).landed)
        await _COMMITTER._commit(self)


_PUBLISH = SimWarehouse.publish


async def _greedy(self: SimWarehouse, run: Run, publishing_: r.RunPublishing) -> None:
    """The statement takes whatever lies in staging."""
    if publishing_.job_id:
        what = json.loads(publishing_.statement)
        what["attempts"] = [row.attempt for row in self.tables.get(what["staging"], [])]
        publishing_ = publishing_.model_copy(update={"statement": json.dumps(what)})
    await _PUBLISH(self, run, publishing_)


GREEDY = replaced(SimWarehouse, "publish", _greedy)

Named = Iterable[tuple[str, int]]


_STRAYS = MemoryWarehouse.delete_strays


async def all_strays(self: MemoryWarehouse, run: Run, named: Named, *, below: int) -> None:
    await _STRAYS(self, run, named, below=1 << 60)


_COMMIT_TARGET = SimWarehouse.commit_target


async def surely(self: SimWarehouse, run: Run, streams: Any) -> bool:
    await _COMMIT_TARGET(self, run, streams)
    return True


def cancellable() -> Planting:
    stop = RunState.CANCELLING
    return both(
        replaced(commands, "CANCELLABLE", CANCELLABLE | {RunState.PUBLISHING}),
        replaced(NEXT, RunState.PUBLISHING, NEXT[RunState.PUBLISHING] | {stop}),
    )


_LOAD = History.load


def forgetful(self: History, *args: Any, **kwargs: Any) -> None:
    _LOAD(self, *args, **kwargs)
    self.ledger.requests.clear()


_TRANSFORM = transforming._one


async def passed_over(mesh: Mesh, run: Run, spec: TransformSpec) -> None:
    """A transform that failed counts as done."""
    try:
        await _TRANSFORM(mesh, run, spec)
    except ServiceError:
        done = r.TransformCompleted(
            transform_id=spec.transform_id,
            target_table=spec.target.table_id(run.name.tenant),
            row_count=0,
            scope=transforming.wanted_scope(mesh, run, spec),
        )
        await mesh.record(run, done)


_after = schedules.after
_decide = decisions.decide


def unmoved(one: Schedule, time: datetime, position: int, detail: Any) -> Schedule:
    """What was decided of a schedule's fires is forgotten: they are due still."""
    moved = _after(one, time, position, detail)
    if isinstance(detail, FiresDecided):
        return moved.model_copy(update={"cursor": one.cursor})
    return moved


def live_anyhow(ledger: Ledger, parent: PipelineName) -> list[Run]:
    """Runs of backfills stand in the way of fires."""
    live = ledger.live_runs.get(parent.tenant, {})
    return [ledger.runs[name] for name in live if name.parent == parent]


def one_more(backfill: Backfill, windows: Any, **around: Any) -> decisions.Decision:
    """A backfill has a run more than it may."""
    created = backfill.created.model_copy(
        update={"max_parallel": backfill.created.max_parallel + 1}
    )
    return _decide(dataclasses.replace(backfill, created=created), windows, **around)


def paused_anyhow(backfill: Backfill, windows: Any, **around: Any) -> decisions.Decision:
    """A backfill that is paused goes on."""
    running = BackfillState.RUNNING
    paused = backfill.state is BackfillState.PAUSED
    return _decide(
        dataclasses.replace(backfill, state=running) if paused else backfill, windows, **around
    )


async def as_it_is_by_now(scheduler: Scheduler, name: PipelineName) -> Schedule:
    """A caller is told what is not durable yet."""
    await scheduler._commands.durable(scheduler._all[name].position)
    return scheduler._all[name]


def from_now_on(scheduler: Scheduler) -> None:
    """A new leader forgets what was due while nobody led."""
    for name, one in list(scheduler._all.items()):
        scheduler._starter.carry_out(name, one, scheduler.spec(name))
        detail = FiresDecided(pipeline=one.pipeline, until=scheduler._clock(), decisions=())
        scheduler._history.decide(None, detail)
        scheduler._next[name] = scheduler._clock()
