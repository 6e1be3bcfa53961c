"""A pipeline of days, a source that has every day, and an orchestrator that fills them."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from libs.common.errors import FailedPrecondition
from libs.common.names import PipelineName, RunName
from services.orchestrator.backfills.backfill import Backfill, BackfillState
from services.orchestrator.backfills.commands import Ask, BackfillCommands
from services.orchestrator.backfills.ranges import Range
from services.orchestrator.backfills.runner import BackfillRunner
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import LIVE
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import ColumnSpec, PipelineSpec, WindowSpec, WriteSpec
from services.orchestrator.workers.memory_workers import Item, MemoryWorker
from services.orchestrator.workers.workers import Planned
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec

DAYS = tuple(date(2026, 11, 1) + timedelta(days=n) for n in range(18))
PIPELINE = PipelineName("acme_corp", "p_daily")


def daily(
    *, lookback: int = 7, pipeline: str = "p_daily", tenant: str = "acme_corp"
) -> PipelineSpec:
    """A `replace` by day, each run of which also reads the days before."""
    made = spec()
    return made.model_copy(
        update={
            "tenant": tenant,
            "pipeline": pipeline,
            "columns": (*made.columns, ColumnSpec(name="day", type="DATE")),
            "window": WindowSpec(lookback_days=lookback, lag_days=1),
            "write": WriteSpec(mode="replace", scope=("day",)),
        }
    )


class SourceDown(FailedPrecondition):
    """The source refuses a day."""

    reason = "SOURCE_REFUSED"


@dataclasses.dataclass(slots=True, eq=False)
class DailyWorker(MemoryWorker):
    """Plans one chunk for each day of the window; `broken` days fail, as a source that refuses."""

    broken: set[str] = dataclasses.field(default_factory=set)

    async def plan(
        self, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
    ) -> Planned:
        planned = await MemoryWorker.plan(self, parent, spec, window)
        if window is None:
            return planned
        last = window.end - timedelta(microseconds=1)
        days = {
            (window.start + timedelta(days=n)).date().isoformat()
            for n in range((last - window.start).days + 1)
        }
        if wrong := days & self.broken:
            raise SourceDown(f"the source refuses {min(wrong)}")
        chunks = tuple(chunk for chunk in planned.chunks if chunk.input_id in days)
        return dataclasses.replace(planned, chunks=chunks)


def daily_world(days: Sequence[date] = DAYS, world: World | None = None) -> World:
    """A world whose source has one row of money 1.5 for each day."""
    made = world or World()
    made.workers = [DailyWorker(f"w{i}", made.source, made.warehouse) for i in (1, 2)]
    for day in days:
        text = day.isoformat()
        made.source.inputs[text] = [Item(scope=text, money=("1.5",), key=text)]
    return made


@dataclasses.dataclass(slots=True)
class Filling:
    """One epoch of an orchestrator that fills."""

    orchestrator: Orchestrator
    backfills: BackfillCommands

    @property
    def ledger(self) -> Ledger:
        return self.orchestrator.conductor.mesh.history.ledger

    async def create(
        self,
        days: Sequence[date] = DAYS[:6],
        *,
        request: int = 1,
        max_parallel: int = 2,
        newest_first: bool = False,
        max_failures: int = 3,
        spec_: PipelineSpec | None = None,
    ) -> Backfill:
        given = spec_ or daily()
        ask = Ask(
            pipeline=PipelineName(given.tenant, given.pipeline),
            request_id=UUID(int=request),
            range=Range(start=days[0], end=days[-1] + timedelta(days=1)),
            max_parallel=max_parallel,
            newest_first=newest_first,
            max_failures=max_failures,
            reload=False,
            reason="a new tenant",
            created_by="key1",
            traceparent="",
        )
        return await self.backfills.repeated(ask) or await self.backfills.create(ask, given)

    def runs(self, backfill: Backfill) -> dict[date, Run]:
        """The run of each window that has one."""
        named = self.ledger.backfills.runs(backfill.name)
        return {day: self.ledger.runs[name] for day, name in named.items()}

    def live(self, backfill: Backfill) -> list[date]:
        return [day for day, run in self.runs(backfill).items() if run.state in LIVE]

    async def until(self, backfill: Backfill, *states: BackfillState) -> Backfill:
        """Wait until a backfill is in one of `states`."""
        async with asyncio.timeout(10):
            while (now := self.backfills.find(backfill.name)).state not in states:
                await asyncio.sleep(0)
        return await self.backfills.settled(now)

    async def quiet(self) -> None:
        """Wait until nothing moves by itself, looked at for some turns of the loop."""
        async with asyncio.timeout(10):
            still, last = 0, -1
            while still < 50:
                await asyncio.sleep(0)
                position = self.ledger.position
                moving = any(run.state in LIVE for run in self.ledger.runs.values())
                still = still + 1 if position == last and not moving else 0
                last = position


@contextlib.asynccontextmanager
async def filling(world: World) -> AsyncGenerator[Filling]:
    """An orchestrator of the next epoch that fills; leaving the block is its kill -9."""
    async with world.orchestrator() as orchestrator:
        history = orchestrator.conductor.mesh.history
        ids = itertools.count(history.ledger.position)
        commands = BackfillCommands(
            history, clock=world.clock, new_id=lambda: f"b{next(ids)}", patience_seconds=8.0
        )
        runner = asyncio.create_task(BackfillRunner(history, orchestrator.commands).follow())
        try:
            yield Filling(orchestrator, commands)
        finally:
            runner.cancel()
            done = await asyncio.gather(runner, return_exceptions=True)
            if isinstance(done[0], Exception):
                raise done[0]


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
