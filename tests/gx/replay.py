"""Every recorded case, judged by Convergence on the way that a run's rows take."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import polars as pl
from convergence.ingest.v1 import chunk_pb2, ingest_service_pb2, source_pb2
from convergence.quality.v1 import quality_service_pb2 as pb
from convergence.quality.v1 import suite_pb2, verdict_pb2

from libs.bigquery import streams
from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.columns import Column
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.tables import ensure_table
from libs.common.lineage import PlatformColumn, staging_columns
from services.ingest.bigquery_sink import BigQuerySink
from services.ingest.chunks import Chunk, Plan
from services.ingest.ingestion import Ingestion
from services.ingest.messages import result_message, stamp
from services.ingest.requests import task_of
from services.ingest.sources.source import RawBatch, Reading, Splitting
from services.quality.bigquery_statistics import BigQueryStatistics
from tests.gx.tables import SEED, Dice, Table
from tests.integration.quality.serving import RUN, TENANT, Quality, document, quality_over
from tests.support.engine import Engine

RECORDED = Path(__file__).with_name("recorded.json")
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
REQUEST_BYTES = 1024 * 1024

Result = verdict_pb2.ExpectationResult


def recorded() -> dict[str, Any]:
    """Return what Great Expectations said."""
    facts: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    facts["tables"] = [Table(**table) for table in facts["tables"]]
    return facts


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A source that holds its rows: those of one chunk, in batches."""

    batches: list[list[list[str | None]]]
    names: list[str]

    def plan(self, splitting: Splitting) -> Plan:
        raise NotImplementedError

    def read(self, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        del chunk, reading
        number = 0
        for rows in self.batches:
            schema = dict.fromkeys(self.names, pl.String())
            numbers = pl.Series(range(number, number + len(rows)), dtype=pl.Int64)
            number += len(rows)
            yield RawBatch(
                rows=pl.DataFrame(rows, schema=schema, orient="row"),
                row_numbers=numbers,
                raw_rows=lambda indexes: ["{}" for _ in indexes],
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A running quality over an embedded BigQuery, into which tables are ingested."""

    quality: Quality
    bigquery: BigQuery

    async def results(self, table: Table, expectations: list[dict[str, Any]]) -> list[Result]:
        """Return what a suite of these expectations says about a table."""
        suite, columns = document(*expectations), suite_columns(table)
        compiled = await self.quality.compile(
            pb.CompileSuiteRequest(parent=RUN, suite_document=suite, columns=columns)
        )
        staging = self._staging(table)
        metrics = self._ingest(table, staging, list(compiled.row_rules))
        response = await self.quality.evaluate(
            pb.EvaluateTableRequest(
                run=RUN,
                suite_document=suite,
                columns=columns,
                row_metrics=metrics,
                table=str(staging),
                attempt=1,
            )
        )
        return list(response.verdict.results)

    def _staging(self, table: Table) -> TableId:
        dataset = DatasetId(self.bigquery.connection.project, f"{TENANT}_staging")
        staging = dataset.table(f"{table.name}__r1")
        declared = [PlatformColumn(name, type_) for name, type_ in table.columns.items()]
        made = [Column(c.name, c.type, c.mode) for c in staging_columns(declared)]
        ensure_dataset(self.bigquery, dataset, tenant=TENANT)
        ensure_table(self.bigquery, staging, made)
        return staging

    def _ingest(
        self, table: Table, staging: TableId, rules: list[suite_pb2.RowRule]
    ) -> list[suite_pb2.RowRuleMetric]:
        """Append a table in several chunks and commit them; return the rules' merged metrics."""
        sink = BigQuerySink(self.bigquery, request_bytes=REQUEST_BYTES)
        results = []
        for i, batches in enumerate(chunks_of(table)):
            task = task_of(_request(table, staging, rules, i))
            ingestion = Ingestion(task, sink, now=lambda: NOW)
            rows = Rows(batches=batches, names=list(table.columns))
            tally = ingestion.run(rows, threading.Event(), lambda _: None)
            assert tally.quarantined_row_count == 0
            results.append(result_message(tally))
        if written := [result.stream for result in results if result.stream]:
            streams.commit(self.bigquery, staging, written)
        return merged([metric for result in results for metric in result.row_metrics])


def suite_columns(table: Table) -> list[pb.SuiteColumn]:
    return [pb.SuiteColumn(name=name, type=type_) for name, type_ in table.columns.items()]


def chunks_of(table: Table) -> list[list[list[list[str | None]]]]:
    """Return a table's rows in chunks, of which one is empty, and each chunk's rows in batches."""
    dice = Dice(f"{SEED} chunks {table.name}")
    count = len(table.rows)
    ends = sorted(dice.below(count + 1) for _ in range(1 + dice.below(4)))
    parts = [table.rows[a:b] for a, b in zip([0, *ends], [*ends, count], strict=True)]
    size = 1 + dice.below(7)
    return [[], *([part[i : i + size] for i in range(0, len(part), size)] for part in parts)]


def _request(
    table: Table, staging: TableId, rules: list[suite_pb2.RowRule], number: int
) -> ingest_service_pb2.IngestChunkRequest:
    part = chunk_pb2.ByteRange(start=0, end=1, header=list(table.columns))
    return ingest_service_pb2.IngestChunkRequest(
        run=RUN,
        run_attempt=1,
        chunk_attempt=number + 1,
        source=source_pb2.Source(file=source_pb2.FileSource(path="f")),
        chunk=chunk_pb2.Chunk(
            chunk_id=f"c{number}", input=chunk_pb2.Input(input_id="f"), byte_range=part
        ),
        columns=[
            ingest_service_pb2.Column(name=name, type=type_)
            for name, type_ in table.columns.items()
        ],
        row_rules=rules,
        table=str(staging),
        quarantine_table=f"{staging}__quarantine",
        staging=True,
        snapshot=1,
        ingest_time=stamp(NOW),
        deadline=stamp(NOW + dt.timedelta(hours=1)),
    )


def merged(metrics: list[suite_pb2.RowRuleMetric]) -> list[suite_pb2.RowRuleMetric]:
    """Add up metrics by rule, as the orchestrator does over a run's chunks."""
    found: dict[str, suite_pb2.RowRuleMetric] = {}
    for metric in metrics:
        whole = found.setdefault(metric.rule_id, suite_pb2.RowRuleMetric(rule_id=metric.rule_id))
        whole.element_count += metric.element_count
        whole.missing_count += metric.missing_count
        whole.unexpected_count += metric.unexpected_count
    return list(found.values())


@contextlib.asynccontextmanager
async def replaying(engine: Engine, folder: Path) -> AsyncGenerator[Replay]:
    """Run quality over an embedded BigQuery."""
    connection = Connection(engine.project, "US", engine.rest, engine.grpc)
    with connect(connection) as bigquery:
        async with quality_over(folder, BigQueryStatistics(bigquery)) as quality:
            yield Replay(quality=quality, bigquery=bigquery)
