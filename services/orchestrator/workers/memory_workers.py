"""A worker and a judge in memory, with dials, over the streams of a MemoryWarehouse."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal

from libs.common.money import total
from libs.common.names import PipelineName, RunName
from services.orchestrator.judges.judges import Compiled, Verdict
from services.orchestrator.runs import records as r
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse, Row
from services.orchestrator.warehouse.statements import money_columns
from services.orchestrator.workers.workers import (
    Assignment,
    Beat,
    ChunkFailed,
    Planned,
    WorkerGone,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A row of a fake source: scope value, money, key and version; whether it cannot be cast."""

    scope: str
    money: tuple[str, ...] = ()
    bad: bool = False
    key: str = "compute"
    version: int = 0
    fixed: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True)
class MemorySource:
    """Inputs by name; their content hash is what their rows say.

    empty: Scope values of which an input itself says that they have no rows.
    deliveries: Deliveries by name, each with its inputs, as manifests name them.
    evolved: Columns (name, type) that the schema lacks.
    """

    inputs: dict[str, list[Item]] = dataclasses.field(default_factory=dict)
    empty: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    deliveries: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    evolved: tuple[tuple[str, str], ...] = ()

    def delivery_of(self, name: str) -> str:
        return next((key for key, inputs in self.deliveries.items() if name in inputs), "")

    def hash_of(self, name: str) -> str:
        return str(
            abs(
                hash(
                    tuple(
                        (item.money, item.bad, item.key, item.version, item.fixed)
                        for item in self.inputs[name]
                    )
                )
            )
        )


@dataclasses.dataclass(slots=True, eq=False)
class MemoryWorker:
    """Plans one chunk an input.

    Dials: `die` tries fail, `failures` are raised first, `hang` waits, `gone` streams end before
    they are committed.
    """

    address: str
    source: MemorySource
    warehouse: MemoryWarehouse
    die: int = 0
    failures: list[Exception] = dataclasses.field(default_factory=list)
    hang: asyncio.Event | None = None
    gone: int = 0
    seen: list[Assignment] = dataclasses.field(default_factory=list)
    stopped: int = 0

    async def plan(
        self, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
    ) -> Planned:
        if self.failures and not isinstance(self.failures[0], ChunkFailed):
            raise self.failures.pop(0)
        return Planned(
            chunks=tuple(
                r.Chunk(
                    chunk_id=f"{name}@{self.source.hash_of(name)}",
                    input_id=name,
                    content_hash=self.source.hash_of(name),
                    delivery=self.source.delivery_of(name),
                    message="{}",
                )
                for name in self.source.inputs
            ),
            deliveries=tuple(sorted(self.source.deliveries)),
            evolved_columns=self.source.evolved,
        )

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        self.seen.append(assignment)
        yield Beat(slot_count=2)
        try:
            if self.hang is not None:
                await self.hang.wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise
        if self.die:
            self.die -= 1
            raise WorkerGone(f"worker {self.address} died", refused=False)
        if self.failures:
            raise self.failures.pop(0)
        yield self._land(assignment)

    def items(self, a: Assignment) -> list[Item]:
        """Return the rows that a chunk reads."""
        return self.source.inputs[a.chunk.input_id]

    def _land(self, a: Assignment) -> r.Landed:
        items = self.items(a)
        good = [_row(a, i, item) for i, item in enumerate(items) if not item.bad]
        bad = [_row(a, i, item) for i, item in enumerate(items) if item.bad]
        stream, quarantine = (
            f"{a.table}/{a.chunk_attempt}",
            f"{a.quarantine_table}/{a.chunk_attempt}",
        )
        self.warehouse.streams[stream] = good
        self.warehouse.streams[quarantine] = bad
        if self.gone:
            self.gone -= 1
            self.warehouse.gone.add(stream)
        landed, lost = _sums(a, good), _sums(a, bad)
        return r.Landed(
            chunk_id=a.chunk.chunk_id,
            chunk_attempt=a.chunk_attempt,
            stream=stream if good else "",
            quarantine_stream=quarantine if bad else "",
            read_row_count=len(items),
            landed_row_count=len(good),
            quarantined_row_count=len(bad),
            read_bytes=100 * len(items),
            money=tuple(
                r.Money(
                    column=column,
                    read=total((landed[i], lost[i])),
                    landed=landed[i],
                    quarantined=lost[i],
                    quarantined_row_count=sum(bool(row.money[i]) for row in bad),
                )
                for i, column in enumerate(money_columns(a.spec.columns))
            ),
            scope_counts=tuple(
                r.ScopeCount(values=(value,), row_count=sum(row.scope == value for row in good))
                for value in self.source.empty.get(a.chunk.input_id, ())
            ),
        )


def _row(a: Assignment, number: int, item: Item) -> Row:
    return Row(
        pipeline=a.run.pipeline,
        run=a.run.run,
        chunk=a.chunk.chunk_id,
        attempt=a.chunk_attempt,
        number=number,
        scope=item.scope,
        source=a.chunk.input_id,
        snapshot=a.snapshot,
        money=tuple(Decimal(text) for text in item.money),
        key=item.key,
        version=item.version,
        fixed=item.fixed,
    )


def _sums(a: Assignment, rows: Sequence[Row]) -> list[Decimal]:
    width = len(money_columns(a.spec.columns))
    return [total(row.money[i] for row in rows) for i in range(width)]


@dataclasses.dataclass(slots=True)
class MemoryJudge:
    """Says what `results` say. A dial: `refusals` are raised by `compile`, one a call."""

    results: tuple[r.Result, ...] = ()
    refusals: list[Exception] = dataclasses.field(default_factory=list)

    async def compile(self, parent: PipelineName | RunName, spec: PipelineSpec) -> Compiled:
        if self.refusals:
            raise self.refusals.pop(0)
        return Compiled(document="{}", row_rule_count=0, table_rule_count=0)

    async def judge(
        self,
        run: RunName,
        spec: PipelineSpec,
        *,
        attempt: int,
        metrics: Sequence[r.Metric],
        table: str,
    ) -> Verdict:
        return Verdict(success=all(x.success for x in self.results), results=self.results)
