"""A whole orchestrator in memory, for tests of its phases: real decisions, fake neighbours."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Self
from uuid import UUID

from libs.common.names import PipelineName
from services.orchestrator.archive.archive import MemoryArchive
from services.orchestrator.conductor.commands import Commands, Start
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournals
from services.orchestrator.retries.pauses import Pauses
from services.orchestrator.retries.retries import Retries
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.records import Share
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import (
    ColumnSpec,
    ContractSpec,
    FileOptions,
    PipelineSpec,
    QualitySpec,
    SourceSpec,
    TargetSpec,
    TextsSpec,
    TransformSpec,
    WriteSpec,
)
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.memory_workers import (
    Item,
    MemoryJudge,
    MemorySource,
    MemoryWorker,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PIPELINE = PipelineName("acme_corp", "p_bill")


def spec(*, mode: str = "replace", on_failure: str = "hold", transforms: int = 0) -> PipelineSpec:
    """A pipeline over deliveries with one money column; `merge` is by `service`."""
    modes: dict[str, dict[str, object]] = {
        "replace": {"scope": ("_source",)},
        "append": {},
        "merge": {"key": ("service",), "version": "version"},
    }
    versions = (ColumnSpec(name="version", type="INT64"),) if mode == "merge" else ()
    return PipelineSpec(
        tenant="acme_corp",
        pipeline="p_bill",
        source=SourceSpec(
            source_id="bill",
            options=FileOptions(
                path="bills/*.csv", format="csv", compression="gzip", encoding="utf-16"
            ),
            texts=TextsSpec(epochs=(("seen_at", "millis"),), truncate_fractions=True),
            contract=ContractSpec(columns="discard_row", types="freeze"),
        ),
        schema_id="bill",
        columns=(
            ColumnSpec(name="service", type="STRING"),
            ColumnSpec(name="cost", type="BIGNUMERIC"),
            *versions,
        ),
        target=TargetSpec(dataset="raw_bill", table="bills"),
        write=WriteSpec.model_validate({"mode": mode, **modes[mode]}),
        quality=QualitySpec.model_validate({"on_failure": on_failure, "suite_document": "{}"}),
        transforms=tuple(
            TransformSpec(
                transform_id=f"t{i}",
                sql="SELECT 1",
                target=TargetSpec(dataset="silver_cost", table=f"silver{i}"),
                scope=(("_source", "x_SourceObject"),),
            )
            for i in range(transforms)
        ),
    )


@dataclasses.dataclass(slots=True)
class Clock:
    """Time that only moves when told, or when somebody sleeps long."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()

    async def sleep(self, seconds: float) -> None:
        """Short waits pass at once; a hold waits for `advance`."""
        if seconds < 600:
            self.now += timedelta(seconds=seconds)
            await asyncio.sleep(0)
            return
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            await asyncio.sleep(0.001)


@dataclasses.dataclass(slots=True)
class World:
    """What survives an orchestrator: journal, warehouse, source, workers, clock."""

    journals: MemoryJournals = dataclasses.field(default_factory=MemoryJournals)
    warehouse: MemoryWarehouse = dataclasses.field(default_factory=MemoryWarehouse)
    source: MemorySource = dataclasses.field(default_factory=MemorySource)
    clock: Clock = dataclasses.field(default_factory=Clock)
    judge: MemoryJudge = dataclasses.field(default_factory=MemoryJudge)
    workers: list[MemoryWorker] = dataclasses.field(default_factory=list)
    epochs: "itertools.count[int]" = dataclasses.field(default_factory=lambda: itertools.count(1))
    ids: "itertools.count[int]" = dataclasses.field(default_factory=lambda: itertools.count(1))
    stream: str = ""
    gather_seconds: float = 1.0
    shares: dict[str, Share] = dataclasses.field(default_factory=dict)
    """What auth says that tenants may have."""
    most_pending: int = 1000
    streams_per_hour: int = 0

    def __post_init__(self) -> None:
        self.workers = [MemoryWorker(f"w{i}", self.source, self.warehouse) for i in (1, 2)]

    @classmethod
    def of(cls, **inputs: list[Item]) -> Self:
        """A world whose source has inputs; `a_csv` is named `a.csv`."""
        made = cls()
        made.source.inputs.update({k.replace("_", "."): rows for k, rows in inputs.items()})
        return made

    def hang(self) -> asyncio.Event:
        """Let workers stop in the middle of every chunk until the event is set."""
        event = asyncio.Event()
        for worker in self.workers:
            worker.hang = event
        return event

    def quarantined(self) -> list[tuple[str, str]]:
        """(run, scope value) of every row in the quarantine of the pipeline `spec()`, sorted."""
        rows = self.warehouse.tables.get(self.warehouse.quarantine(spec()), [])
        return sorted((row.run, row.scope) for row in rows)

    @contextlib.asynccontextmanager
    async def orchestrator(self) -> AsyncGenerator["Orchestrator"]:
        """An orchestrator of the next epoch; leaving the block is its kill -9."""
        epoch = next(self.epochs)
        journal = self.journals.member()
        term = Term(epoch=epoch, predecessor=self.stream, predecessor_epoch=epoch - 1)
        records, self.stream = await journal.open(term)
        pauses = Pauses(sleep=self.clock.sleep, random=Random(7))
        history = History(
            journal,
            epoch=epoch,
            clock=self.clock,
            new_id=lambda: f"e{next(self.ids)}",
            pauses=pauses,
        )
        history.load(records)
        writer = asyncio.create_task(history.write())
        mesh = Mesh(
            history=history,
            warehouse=self.warehouse,
            dispatcher=Dispatcher(
                self.workers,
                monotonic=self.clock.monotonic,
                sleep=self.clock.sleep,
                streams_per_hour=self.streams_per_hour,
            ),
            judge=self.judge,
            archive=MemoryArchive(lambda: self.journals.records),
            clock=self.clock,
            sleep=self.clock.sleep,
            retries=Retries(pauses),
            gather_seconds=self.gather_seconds,
            shares=self.shares.get,
        )
        conductor = Conductor(mesh)
        conductor.resume()
        commands = Commands(
            conductor,
            new_run_id=lambda: f"r{next(self.ids)}",
            most_pending=self.most_pending,
        )
        try:
            yield Orchestrator(conductor, commands)
        finally:
            await conductor.close()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def published(self, spec_: PipelineSpec | None = None) -> list[tuple[str, str]]:
        """(scope value, first money) of every row that readers see, sorted."""
        rows = self.warehouse.tables.get(self.warehouse.target(spec_ or spec()), [])
        return sorted((row.scope, f"{row.money[0]:f}") for row in rows)


@dataclasses.dataclass(slots=True)
class Orchestrator:
    """One epoch of an orchestrator."""

    conductor: Conductor
    commands: Commands

    async def start(
        self,
        spec_: PipelineSpec | None = None,
        *,
        pipeline: PipelineName = PIPELINE,
        request: int | None = None,
        reload: bool = False,
        moment: datetime | None = None,
        share: Share | None = None,
        lane: Lane = Lane.INTERACTIVE,
    ) -> Run:
        number = (
            request if request is not None else 1000 + self.conductor.mesh.history.ledger.position
        )
        start = Start(
            pipeline=pipeline,
            request_id=UUID(int=number),
            moment=moment,
            reload=reload,
            created_by="key1",
            traceparent="",
            share=share,
            lane=lane,
        )
        return await self.commands.repeated(start) or await self.commands.create(
            start, spec_ or spec()
        )

    async def retry(
        self,
        run: Run,
        *,
        failed_attempt: int = 0,
        share: Share | None = None,
    ) -> Run:
        return await self.commands.retry(
            run.name,
            failed_attempt=failed_attempt,
            by="key1",
            spec="",
            share=share,
        )

    async def approve(self, run: Run) -> Run:
        return await self.commands.approve(run.name, by="key2", reason="looked at it")

    async def until(self, run: Run, *states: RunState) -> Run:
        """Wait until a run is in one of `states`."""
        async with asyncio.timeout(5):
            while (now := self.commands.find(run.name)).state not in states:
                await asyncio.sleep(0)
        return await self.commands.settled(now)

    async def finish(self, spec_: PipelineSpec | None = None, *, reload: bool = False) -> Run:
        """Start a run and wait until it rests."""
        run = await self.start(spec_, reload=reload)
        return await self.rest(run)

    async def rest(self, run: Run) -> Run:
        """Wait until nothing moves a run by itself."""
        async with asyncio.timeout(5):
            while not (now := self.commands.find(run.name)).resting:
                await asyncio.sleep(0)
        return await self.commands.settled(now)
