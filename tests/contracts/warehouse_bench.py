"""Runs made by hand over a warehouse, in memory or in BigQuery, so that one suite holds both."""

import asyncio
import dataclasses
import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.common.names import PipelineName
from services.orchestrator.conductor.planning import lacking
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.warehouse.bigquery_warehouse import BigQueryWarehouse
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.warehouse.warehouse import Warehouse
from services.orchestrator.workers.memory_workers import Item, MemorySource, MemoryWorker
from services.orchestrator.workers.workers import Assignment
from tests.integration.orchestrator.bigquery_world import StreamWorker
from tests.unit.orchestrator.conductor.world import spec

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=8)

Published = list[tuple[str, str, str]]
"""Run, input and first money of each row, sorted."""


class Rows(Protocol):
    """What a reader sees."""

    async def of(self, table: str) -> Published:
        """Return the rows of `dataset.table`."""


class MemoryRows:
    def __init__(self, warehouse: MemoryWarehouse) -> None:
        self._tables = warehouse.tables

    async def of(self, table: str) -> Published:
        rows = self._tables.get(f"memory.{table}", self._tables.get(table, []))
        return sorted((row.run, row.source, f"{row.money[0]:f}") for row in rows)


class BigQueryRows:
    def __init__(self, bigquery: BigQuery) -> None:
        self.bigquery = bigquery

    async def of(self, table: str) -> Published:
        statement = f"SELECT _run_id, _source, CAST(cost AS STRING) AS cost FROM {table}"
        rows = await asyncio.to_thread(jobs.query, self.bigquery, statement)
        found = [(str(x["_run_id"]), str(x["_source"]), _plain(str(x["cost"]))) for x in rows]
        return sorted(found)


def _plain(text: str) -> str:
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0')}".rstrip(".")


@dataclasses.dataclass(slots=True)
class Bench:
    """A warehouse, a worker that can write to it, and a ledger that makes runs."""

    warehouse: Warehouse
    worker: MemoryWorker
    rows: Rows
    ledger: Ledger = dataclasses.field(default_factory=Ledger)
    numbers: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))
    ingest_time: datetime = NOON
    """Of the next runs: it says which partition their rows are in."""

    def record(self, run: Run, detail: r.Detail) -> Run:
        """Apply a record and return the run after it."""
        return self._add(str(run.name), detail)

    def _add(self, name: str, detail: r.Detail) -> Run:
        position = self.ledger.position + 1
        after = self.ledger.add(
            r.Record(
                event_id=f"e{position}", position=position, epoch=1, run=name, time=NOON,
                detail=detail,
            )
        )  # fmt: skip
        assert after is not None
        return after

    async def planned(
        self,
        wanted: PipelineSpec | None = None,
        *,
        direct: bool = False,
        reload: bool = False,
        scope_values: tuple[str, ...] = (),
        evolved: tuple[tuple[str, str], ...] = (),
    ) -> Run:
        """Return a new run that is INGESTING, its tables made, over all inputs of the source."""
        of = wanted or spec()
        name = PipelineName(of.tenant, of.pipeline).run(f"r{uuid.uuid4().hex[:8]}")
        created = r.RunCreated(
            spec=of.canonical(), spec_hash="", request_id=name.run, request_digest="",
            reload=reload,
        )  # fmt: skip
        self._add(str(name), created)
        self._add(str(name), r.RunPlanning())
        plan = await self.worker.plan(name, of, None)
        inputs = tuple(chunk.input_id for chunk in plan.chunks)
        scope = of.scope_over(scope_values or inputs) if of.write.mode == "replace" else ()
        planned = r.RunPlanned(
            chunks=plan.chunks,
            scope=scope,
            direct=direct,
            ingest_time=self.ingest_time,
            evolved_columns=evolved,
            new_columns=lacking(await self.warehouse.columns(of), of.with_columns(evolved).columns),
        )
        run = self._add(str(name), planned)
        await self.warehouse.prepare(run, staging=not direct, expire_time=LATER)
        return run

    async def ingest(self, run: Run, input_id: str) -> r.Landed:
        """Have a try of one input's chunk; the journal does not name it yet."""
        assert run.plan is not None
        assert run.snapshot is not None
        (chunk,) = (chunk for chunk in run.plan.chunks if chunk.input_id == input_id)
        direct = run.plan.direct
        assignment = Assignment(
            run=run.name, run_attempt=1, chunk_attempt=next(self.numbers), epoch=1, spec=run.spec,
            chunk=chunk, scope=run.scope, suite="",
            table=self.warehouse.target(run.spec) if direct else self.warehouse.staging(run),
            quarantine_table=self.warehouse.quarantine(run.spec), staging=not direct,
            snapshot=run.snapshot, ingest_time=run.plan.ingest_time, deadline=LATER,
        )  # fmt: skip
        async for event in self.worker.ingest(assignment):
            if isinstance(event, r.Landed):
                return event
        raise AssertionError("the worker ended without a result")

    async def ingested(self, run: Run) -> Run:
        """Have every chunk done, and committed into staging unless the run is direct."""
        plan = run.plan
        assert plan is not None
        for chunk in plan.chunks:
            landed = await self.ingest(run, chunk.input_id)
            run = self.record(run, r.ChunkCompleted(landed=landed))
        if not plan.direct:
            await self.warehouse.commit_staged(run, list(run.landed.values()))
        return run

    async def staged(
        self,
        wanted: PipelineSpec | None = None,
        *,
        reload: bool = False,
        scope_values: tuple[str, ...] = (),
    ) -> Run:
        """Return a run whose rows all wait in staging."""
        return await self.ingested(
            await self.planned(wanted, reload=reload, scope_values=scope_values)
        )

    async def intent(
        self, run: Run, *, without: tuple[str, ...] = (), job_id: str = ""
    ) -> r.RunPublishing:
        """Return what a run would journal before it publishes."""
        statement = await self.warehouse.merge_statement(run, run.scope, without=without)
        return r.RunPublishing(
            scope=run.scope, job_id=job_id or f"job-{run.name.run}", statement=statement
        )

    async def publish(self, run: Run, *, without: tuple[str, ...] = ()) -> r.RunPublishing:
        intent = await self.intent(run, without=without)
        await self.warehouse.add_columns(run)
        await self.warehouse.publish(run, intent)
        return intent

    async def published(self, wanted: PipelineSpec | None = None) -> Published:
        of = wanted or spec()
        return await self.rows.of(of.target.table_id(of.tenant))

    async def quarantined(self, run: Run) -> list[tuple[object, int]]:
        rows = await self.warehouse.quarantined(run, offset=0, limit=100)
        return [(row["_source"], int(str(row["_row_number"]))) for row in rows]


def memory_bench() -> Bench:
    warehouse, source = MemoryWarehouse(), MemorySource()
    worker = MemoryWorker("w1", source, warehouse)
    return Bench(warehouse, worker, MemoryRows(warehouse))


def bigquery_bench(bigquery: BigQuery) -> Bench:
    worker = StreamWorker("w1", MemorySource(), MemoryWarehouse(), bigquery=bigquery)
    return Bench(BigQueryWarehouse(bigquery), worker, BigQueryRows(bigquery))


def items(scope: str, *money: str, bad: tuple[str, ...] = ()) -> list[Item]:
    """Rows of one input: good ones with `money`, then bad ones."""
    return [
        *(Item(scope=scope, money=(text,)) for text in money),
        *(Item(scope=scope, money=(text,), bad=True) for text in bad),
    ]
