"""Stories of a pipeline: what happens to its source, what callers ask, and what breaks meanwhile."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Awaitable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from hypothesis import strategies as st

from libs.common.errors import FailedPrecondition, Unavailable
from libs.common.names import PipelineName, RunName
from services.orchestrator.runs import records as r
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import ColumnSpec, PipelineSpec, WindowSpec, WriteSpec
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.memory_workers import Item, MemoryWorker
from services.orchestrator.workers.workers import Assignment, Beat, ChunkFailed, Planned
from tests.unit.orchestrator.conductor.cutting import CutJournals, kill
from tests.unit.orchestrator.conductor.world import NOON, Orchestrator, World, spec
from tests.unit.orchestrator.model.plain import REPORT, Model, Source, Sums, readable

MODES = ("append", "direct", "replace", "report", "manifest", "merge")
NAMES = ("a.csv", "b.csv", "c.csv")
MONTHS = ("2026-10", "2026-11")
DAYS = tuple((NOON - timedelta(days=n)).date().isoformat() for n in range(3))
PIPELINES = ("p_bill", "p_other")
FAILS = (
    "prepare", "commit_staged", "commit_quarantine", "commit_target", "chunk_counts", "publish",
    "merge_statement", "published_by_scope", "published_of", "tidy_published", "keep_staging",
)  # fmt: skip
LOSES = ("prepare", "commit_staged", "commit_quarantine", "commit_target", "publish")
VERBS = {
    RunState.HELD: (*["approve"] * 4, "discard", "cancel"),
    RunState.FAILED: (*["retry"] * 5, "cancel"),
}
FORBIDDEN = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="ask")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What breaks during a step: a dial by name, how often; or the orchestrator, at a record."""

    dial: str = ""
    method: str = ""
    times: int = 1
    cut: int = 0
    """Records after which the orchestrator is killed; 0 for never."""
    late: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """The source changes: an object (or the report) has other rows, or None any more."""

    name: str
    items: tuple[Item, ...] | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A newer manifest names these objects of a delivery and no others, or it is there no more."""

    delivery: str
    objects: tuple[Deliver, ...] | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run is asked for, or two at once of neighbouring days."""

    pipeline: str
    reload: bool = False
    day: int = 0
    account: str = "A"
    two: bool = False
    trouble: Trouble = Trouble()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """Somebody approves, discards, cancels or retries one of the runs that are held or failed."""

    which: int
    choice: int
    trouble: Trouble = Trouble()


Change = Deliver | Export
Step = Change | Start | Steer


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happens, in order; `first` is delivered before anything is asked."""

    mode: str
    first: tuple[Change, ...]
    steps: tuple[Step, ...]


def spec_of(mode: str, pipeline: str, account: str, table: str = "bills") -> PipelineSpec:
    """Return the pipeline of a story; a report is scoped by day and account."""
    made = spec(
        mode={"direct": "append", "report": "replace", "manifest": "replace"}.get(mode, mode),
        on_failure="fail" if mode == "direct" else "hold",
    )
    changes: dict[str, object] = {
        "pipeline": pipeline,
        "target": made.target.model_copy(update={"table": table}),
    }
    if mode == "report":
        columns = (ColumnSpec(name="day", type="DATE"), ColumnSpec(name="account", type="STRING"))
        fixed = (("account", account),)
        changes |= {
            "columns": (*made.columns, *columns),
            "window": WindowSpec(lookback_days=2),
            "write": WriteSpec(mode="replace", scope=("day",), fixed=fixed),
        }
    return made.model_copy(update=changes)


def stories(*, broken_warehouse: bool = True) -> st.SearchStrategy[Story]:
    """Any story; where the warehouse is real, it has no dials."""
    return st.sampled_from(MODES).flatmap(
        lambda mode: st.builds(
            Story,
            mode=st.just(mode),
            first=st.lists(_deliveries(mode), min_size=1, max_size=3).map(tuple),
            steps=st.lists(_steps(mode, broken_warehouse), min_size=4, max_size=14).map(tuple),
        )
    )


def _steps(mode: str, broken_warehouse: bool) -> st.SearchStrategy[Step]:
    trouble = _troubles(broken_warehouse)
    start = st.builds(
        Start,
        pipeline=st.sampled_from([*PIPELINES[:1] * 4, *PIPELINES]),
        reload=st.booleans() if mode in {"append", "direct"} else st.just(False),
        day=st.integers(0, 2),
        account=st.sampled_from("AB" if mode == "report" else "A"),
        two=st.booleans() if mode == "report" else st.just(False),
        trouble=trouble,
    )
    steer = st.builds(
        Steer,
        which=st.sampled_from([0, 0, 0, 1, 2]),
        choice=st.integers(0, 5),
        trouble=trouble,
    )
    return st.one_of(_deliveries(mode), start, start, steer, steer)


def _deliveries(mode: str) -> st.SearchStrategy[Change]:
    money = st.sampled_from(["0", "1", "2.5", "-3", "0.000000000000000001", "12345678901234567890"])
    bad = st.sampled_from([False] * 5 + [True])
    if mode == "report":
        item = st.builds(
            Item, scope=st.sampled_from(DAYS), money=st.tuples(money), bad=bad,
            fixed=st.sampled_from(["A", "B"]).map(lambda account: (account,)),
        )  # fmt: skip
        rows = st.lists(item, min_size=4, max_size=9).map(tuple)
        return st.builds(Deliver, name=st.just(REPORT), items=rows)
    item = st.builds(
        Item, scope=st.just(""), money=st.tuples(money), bad=bad,
        key=st.sampled_from("abc"), version=st.integers(0, 2),
    )  # fmt: skip
    some = st.lists(item, min_size=1, max_size=4).map(tuple)
    if mode == "manifest":
        return st.sampled_from(MONTHS).flatmap(lambda month: _exports(month, some))
    rows = st.one_of(some, some, some, st.none(), st.just(()))
    return st.builds(_object, name=st.sampled_from(NAMES), items=rows)


def _exports(month: str, rows: st.SearchStrategy[tuple[Item, ...]]) -> st.SearchStrategy[Change]:
    """A month's export has other objects each time, none in some, and may be deleted."""
    names = st.sampled_from([f"{month}/{name}" for name in NAMES])
    one = st.builds(_object, name=names, items=st.one_of(rows, rows, rows, st.just(())))
    some = st.lists(one, max_size=3, unique_by=lambda delivered: delivered.name).map(tuple)
    return st.builds(
        Export, delivery=st.just(month), objects=st.one_of(some, some, some, st.none())
    )


def _object(name: str, items: tuple[Item, ...] | None) -> Deliver:
    """Rows of an object are scoped by its name."""
    named = None if items is None else tuple(dataclasses.replace(x, scope=name) for x in items)
    return Deliver(name=name, items=named)


def _troubles(broken_warehouse: bool) -> st.SearchStrategy[Trouble]:
    times = st.integers(1, 3)
    cut = st.builds(Trouble, cut=st.integers(1, 14), late=st.booleans())
    kinds = [
        st.just(Trouble()),
        st.just(Trouble()),
        cut,
        cut,
        st.builds(Trouble, dial=st.just("gone"), times=times),
        st.builds(Trouble, dial=st.sampled_from(["die", "forbidden"]), times=times),
    ]
    if broken_warehouse:
        kinds += [
            st.builds(
                Trouble, dial=st.just("fail"), method=st.sampled_from(FAILS), times=times,
                cut=st.sampled_from([0, 0, 5, 9]),
            ),
            st.builds(Trouble, dial=st.just("lose"), method=st.sampled_from(LOSES), times=times),
            st.builds(Trouble, dial=st.sampled_from(["audit", "job"])),
        ]  # fmt: skip
    return st.one_of(*kinds)


class LookingWorker(MemoryWorker):
    """Finds an object as it was planned or not at all; a report is what it is when it is asked for."""

    async def plan(
        self, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
    ) -> Planned:
        if window is None:
            return await MemoryWorker.plan(self, parent, spec, window)
        last = window.end - timedelta(days=1)
        name = f"{REPORT}:{window.start:%Y-%m-%d}/{last:%Y-%m-%d}"
        chunk = r.Chunk(chunk_id=name, input_id=name, content_hash="", message="{}")
        return Planned(chunks=(chunk,))

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        name, known = assignment.chunk.input_id, assignment.chunk.content_hash
        inputs = self.source.inputs
        if known and (name not in inputs or self.source.hash_of(name) != known):
            changed = r.Failure(kind="source", reason="SOURCE_CHANGED", message=name, advice="")
            raise ChunkFailed(changed, transient=False)
        async for event in super().ingest(assignment):
            yield self._said(assignment, event) if isinstance(event, r.Landed) else event

    def items(self, a: Assignment) -> list[Item]:
        source = {name: tuple(rows) for name, rows in self.source.inputs.items()}
        days = a.scope[0][1] if a.spec.window else ()
        return list(readable(a.spec, a.chunk.input_id, days, source))

    def _said(self, a: Assignment, landed: r.Landed) -> r.Landed:
        """A report names the days that have no rows."""
        if a.spec.window is None:
            return landed
        found = {item.scope for item in self.items(a)}
        empty = [day for day in a.scope[0][1] if day not in found]
        counts = tuple(r.ScopeCount(values=(day,), row_count=0) for day in empty)
        return landed.model_copy(update={"scope_counts": counts})


class Reader(Protocol):
    """What both warehouses can say of the rows that readers see."""

    async def __call__(self) -> list[tuple[Any, ...]]:
        """Return pipeline, run, source, number, snapshot and money of every row."""


@dataclasses.dataclass(slots=True)
class Telling:
    """Lets a story happen, and compares the world with the model after every step."""

    world: World
    mode: str
    seen: Reader
    table: str = "bills"
    seconds: float = 5.0
    pause: float = 0.0
    model: Model = dataclasses.field(default_factory=Model)
    followed: int = 0
    requests: int = 0

    @property
    def journals(self) -> CutJournals:
        assert isinstance(self.world.journals, CutJournals)
        return self.world.journals

    async def tell(self, story: Story) -> None:
        steps = [*story.first, *story.steps]
        while steps:
            async with self.world.orchestrator() as o:
                await self._all_rest(o)
                await self._agree(o)
                while steps:
                    killed = await self._step(o, steps[0])
                    if killed:
                        break
                    steps.pop(0)
                    await self._all_rest(o)
                    await self._agree(o)
            if steps:
                steps[0] = _again(steps[0])
        async with self.world.orchestrator() as o:
            await self._all_rest(o)
            await self._agree(o)

    async def _step(self, o: Orchestrator, step: Step) -> bool:
        """Do a step; return whether the orchestrator was killed, so that callers ask again."""
        if isinstance(step, Deliver | Export):
            self._follow()
            self._change(step)
            return False
        self._break(step.trouble)
        try:
            return await self._unless_killed(self._ask(o, step), step.trouble)
        finally:
            self._mend()

    def _change(self, change: Change) -> None:
        source = self.world.source
        if isinstance(change, Deliver):
            if change.items is None:
                source.inputs.pop(change.name, None)
            else:
                source.inputs[change.name] = list(change.items)
            return
        for name in source.deliveries.pop(change.delivery, ()):
            del source.inputs[name]
        if change.objects is not None:
            source.deliveries[change.delivery] = tuple(x.name for x in change.objects)
            for delivered in change.objects:
                self._change(delivered)

    async def _unless_killed(self, asked: Awaitable[None], trouble: Trouble) -> bool:
        journals = self.journals
        if not trouble.cut:
            await asked
            return False
        journals.reached.clear()
        journals.most = len(journals.records) + trouble.cut
        work = asyncio.ensure_future(asked)
        stop = asyncio.ensure_future(journals.reached.wait())
        try:
            async with asyncio.timeout(self.seconds):
                await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            for _ in range(50 if trouble.late else 0):
                await asyncio.sleep(0)
            if work.done() and not journals.reached.is_set():
                stop.cancel()
                await work
                return False
            await kill()
            return True
        finally:
            journals.most = 0

    async def _ask(self, o: Orchestrator, step: Start | Steer) -> None:
        if isinstance(step, Steer):
            await self._steer(o, step)
            return
        moments: list[datetime | None] = [None]
        if self.mode == "report":
            moments = [NOON - timedelta(days=step.day)]
            moments += [NOON - timedelta(days=step.day + 1)] * step.two
        runs = []
        for number, moment in enumerate(moments):
            wanted = spec_of(self.mode, step.pipeline, step.account, self.table)
            with contextlib.suppress(FailedPrecondition):
                run = await o.start(
                    wanted,
                    pipeline=PipelineName("acme_corp", step.pipeline),
                    request=self.requests * 2 + number,
                    reload=step.reload,
                    moment=moment,
                )
                runs.append(run)
                if step.trouble.dial == "job" and isinstance(self.world.warehouse, MemoryWarehouse):
                    job = f"cvg-acme_corp-{run.name.run}-publish-{run.attempt}"
                    self.world.warehouse.broken_jobs.add(job)
        for run in runs:
            await self._rest(o, run)
        self.requests += 1

    async def _steer(self, o: Orchestrator, step: Steer) -> None:
        found = o.conductor.mesh.history.ledger.runs.values()
        runs = sorted(
            (x for x in found if x.state in VERBS), key=lambda run: run.created.request_id
        )
        if not runs:
            return
        run = runs[step.which % len(runs)]
        verb = VERBS[run.state][step.choice]
        for _ in range(step.trouble.times + 1):
            with contextlib.suppress(FailedPrecondition, Unavailable):
                if verb == "approve":
                    await o.approve(run)
                elif verb == "retry":
                    await o.retry(run)
                else:
                    await getattr(o.commands, verb)(run.name, by="k", reason="")
                break
        await self._rest(o, run)

    async def _rest(self, o: Orchestrator, run: Run) -> None:
        async with asyncio.timeout(self.seconds):
            while not (now := o.commands.find(run.name)).resting:
                await asyncio.sleep(self.pause)
        await o.commands.settled(now)

    async def _all_rest(self, o: Orchestrator) -> None:
        for run in list(o.conductor.mesh.history.ledger.runs.values()):
            await self._rest(o, run)

    def _break(self, trouble: Trouble) -> None:
        warehouse, times = self.world.warehouse, trouble.times
        for worker in self.world.workers:
            if trouble.dial in {"die", "gone"}:
                setattr(worker, trouble.dial, times)
            if trouble.dial == "forbidden":
                worker.failures = [ChunkFailed(FORBIDDEN, transient=False)]
        if trouble.dial in {"fail", "lose"}:
            getattr(warehouse, trouble.dial)[trouble.method] = times
        if trouble.dial == "audit":
            warehouse.errors["chunk_counts"] = [FailedPrecondition("no", reason="AUDIT_MISMATCH")]

    def _mend(self) -> None:
        for worker in self.world.workers:
            worker.die, worker.gone, worker.failures = 0, 0, []
        if isinstance(self.world.warehouse, MemoryWarehouse):
            for dial in (
                self.world.warehouse.fail,
                self.world.warehouse.lose,
                self.world.warehouse.errors,
            ):
                dial.clear()

    def _follow(self) -> None:
        """Let the model see the records that there are since it looked, before the source changes."""
        source: Source = {n: tuple(rows) for n, rows in self.world.source.inputs.items()}
        for record in self.journals.records[self.followed :]:
            self.model.add(record, source, self.world.source.deliveries)
        self.followed = len(self.journals.records)

    async def _agree(self, o: Orchestrator) -> None:
        """Rows, and the receipt of every run that has one, are those of the model."""
        self._follow()
        assert sorted(await self.seen()) == sorted(row.text for row in self.model.rows)
        for run in o.conductor.mesh.history.ledger.runs.values():
            if run.state is RunState.SUPERSEDED:
                assert self.model.overtaken(str(run.name)), f"{run.name} is the newest look"
            receipt = receipt_of(run)
            assert (receipt is not None) == (str(run.name) in self.model.receipts), run.state
            if receipt is not None:
                assert sums_of(run) == self.model.receipts[str(run.name)]


def sums_of(run: Run) -> Sums:
    """Return what the receipt of a run says."""
    receipt = receipt_of(run)
    assert receipt is not None
    zero = Decimal(0)
    line = receipt.money[0] if receipt.money else None
    return Sums(
        read=(receipt.read_row_count, line.read if line else zero),
        landed=(receipt.landed_row_count, line.landed if line else zero),
        quarantined=(receipt.quarantined_row_count, line.quarantined if line else zero),
        outdated=(receipt.outdated_row_count, line.outdated if line else zero),
    )


def _again(step: Step) -> Step:
    """Return what a caller asks again after a kill: the same, and nothing breaks this time."""
    return (
        step if isinstance(step, Deliver | Export) else dataclasses.replace(step, trouble=Trouble())
    )
