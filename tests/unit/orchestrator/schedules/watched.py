"""A scheduler over journal, files, auth and a clock that a test moves; runs end when a test says."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

from libs.common.names import PipelineName, RunName
from services.orchestrator.archive.archive import MemoryArchive
from services.orchestrator.conductor.commands import Commands
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournals
from services.orchestrator.retries.retries import Retries
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import LIVE, RunState
from services.orchestrator.schedules.schedule import Schedule
from services.orchestrator.schedules.scheduler import Scheduler
from services.orchestrator.schedules.tenants import MemoryTenants
from services.orchestrator.specs import PipelineSpec, ScheduleSpec, WindowSpec
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.memory_workers import MemoryJudge
from tests.unit.orchestrator.conductor.world import PIPELINE, spec

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
CANCELLED = r.RunCancelled(by="test")
FAILURE = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="ask")


def scheduled(
    cron: str = "0 6 * * *", *, lookback: int = 1, windows: bool = True, **fields: object
) -> PipelineSpec:
    """The pipeline PIPELINE with a schedule, about days unless told otherwise."""
    schedule = ScheduleSpec.model_validate({"cron": cron, **fields})
    window = WindowSpec(lookback_days=lookback) if windows else None
    return spec().model_copy(update={"schedule": schedule, "window": window})


def at(text: str) -> datetime:
    """A moment in November 2026: `20 06:00`."""
    return datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


class Idle(Conductor):
    """Drives nothing: a test moves runs."""

    def start(self, run: Run) -> None:
        pass


@dataclasses.dataclass(slots=True)
class Watched:
    """What survives an orchestrator: journal, files, auth, clock."""

    now: datetime = MIDNIGHT
    journals: MemoryJournals = dataclasses.field(default_factory=MemoryJournals)
    catalogue: MemoryCatalogue = dataclasses.field(default_factory=MemoryCatalogue)
    tenants: MemoryTenants = dataclasses.field(default_factory=MemoryTenants)
    epochs: "itertools.count[int]" = dataclasses.field(default_factory=lambda: itertools.count(1))
    ids: "itertools.count[int]" = dataclasses.field(default_factory=lambda: itertools.count(1))
    stream: str = ""
    lags: list[float] = dataclasses.field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def put(self, spec_: PipelineSpec) -> None:
        self.catalogue.put(spec_, at=self.now)

    @contextlib.asynccontextmanager
    async def orchestrator(self) -> AsyncGenerator["Leading"]:
        """An orchestrator of the next epoch, its files read; leaving the block is its kill -9."""
        epoch = next(self.epochs)
        journal = self.journals.member()
        records, self.stream = await journal.open(
            Term(epoch=epoch, predecessor=self.stream, predecessor_epoch=epoch - 1)
        )
        history = History(
            journal, epoch=epoch, clock=self.clock, new_id=lambda: f"e{next(self.ids)}"
        )
        history.load(records)
        writer = asyncio.create_task(history.write())
        mesh = Mesh(
            history=history,
            warehouse=MemoryWarehouse(),
            dispatcher=Dispatcher([], monotonic=lambda: 0.0, sleep=asyncio.sleep),
            judge=MemoryJudge(),
            archive=MemoryArchive(lambda: self.journals.records),
            clock=self.clock,
            sleep=asyncio.sleep,
            retries=Retries(),
        )
        conductor = Idle(mesh)
        commands = Commands(conductor, new_run_id=lambda: f"r{next(self.ids)}")
        scheduler = Scheduler(
            conductor,
            commands,
            self.catalogue,
            self.tenants,
            sleep=asyncio.sleep,
            observe_lag=self.lags.append,
        )
        leading = Leading(watched=self, history=history, commands=commands, scheduler=scheduler)
        scheduler.recover()
        leading.read()
        try:
            yield leading
        finally:
            await conductor.close()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


@dataclasses.dataclass(slots=True, kw_only=True)
class Leading:
    """One epoch of an orchestrator, at work only when a test says so."""

    watched: Watched
    history: History
    commands: Commands
    scheduler: Scheduler

    def read(self) -> None:
        """Read all files."""
        for tenant in self.watched.catalogue.tenants():
            for name in self.watched.catalogue.pipelines(tenant):
                self.scheduler.adopt(PipelineName(tenant, name))

    async def look(self) -> None:
        """Look at what is due and what waits, and see all of it durable."""
        await self.scheduler.look({PIPELINE.tenant})
        await self.history.settled(self.history.ledger.position)

    async def on(self, moment: datetime) -> None:
        """Let time pass to a moment, then look."""
        self.watched.now = moment
        await self.look()

    def schedule(self, name: PipelineName = PIPELINE) -> Schedule:
        return self.history.ledger.schedules.by_pipeline[name]

    def runs(self, name: PipelineName = PIPELINE) -> list[Run]:
        """All runs of a pipeline, oldest first."""
        ledger = self.history.ledger
        return sorted(ledger.of(name), key=ledger.begun)

    def fired(self, name: PipelineName = PIPELINE) -> list[str]:
        """Nominal times of the runs of a pipeline, in order of their creation."""
        return [
            f"{run.created.fire_time:%d %H:%M}" for run in self.runs(name) if run.created.fire_time
        ]

    def live(self) -> list[RunName]:
        return [run.name for run in self.runs() if run.state in LIVE]

    async def end(self, run: RunName, *, fails: bool = False) -> None:
        """Let a live run end: cancelled, or failed."""
        state = self.history.ledger.runs[run].state
        detail: r.Detail = CANCELLED
        if fails:
            detail = r.RunFailed(failure=FAILURE)
        elif state is not RunState.CANCELLING:
            self.history.decide(run, r.RunCancelling(by="test", reason=""))
        self.history.decide(run, detail)
        await self.history.settled(self.history.ledger.position)

    def told(self) -> list[str]:
        """What became of fires, as `20 06:00 start`, with a cause and a count where there is one."""
        return [
            " ".join(
                filter(
                    None,
                    (
                        f"{one.decision.fire_time:%d %H:%M}",
                        one.decision.verdict,
                        one.decision.cause,
                        f"x{one.decision.fire_count}" * (one.decision.fire_count > 1),
                    ),
                )
            )
            for one in self.schedule().recent
        ]

    def waiting(self) -> list[str]:
        return [f"{one.fire_time:%d %H:%M} {one.cause}" for one in self.schedule().waiting]


HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
