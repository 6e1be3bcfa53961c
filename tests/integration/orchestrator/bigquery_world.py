"""The orchestrator's phases over a real (embedded) BigQuery; only the worker is small."""

import dataclasses
import datetime as dt
from collections.abc import AsyncGenerator, Callable
from decimal import Decimal

import pyarrow as pa

from libs.bigquery import streams
from libs.bigquery.client import BigQuery
from libs.bigquery.columns import Column, arrow_schema
from libs.bigquery.ids import TableId
from libs.common.lineage import quarantine_columns, staging_columns, target_columns
from services.orchestrator.runs import records as r
from services.orchestrator.workers.memory_workers import Item, MemoryWorker
from services.orchestrator.workers.workers import Assignment, Beat


@dataclasses.dataclass(slots=True, eq=False)
class StreamWorker(MemoryWorker):
    """Writes the rows of a fake source to real PENDING streams."""

    bigquery: BigQuery | None = None

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        async for event in MemoryWorker.ingest(self, assignment):
            yield self._written(assignment, event) if isinstance(event, r.Landed) else event

    def _written(self, a: Assignment, landed: r.Landed) -> r.Landed:
        declared = [column.platform() for column in a.spec.columns]
        wanted = staging_columns(declared) if a.staging else target_columns(declared)
        items = list(enumerate(self.items(a)))
        good = [_row(a, i, item) for i, item in items if not item.bad]
        bad = [_bad_row(a, i, item) for i, item in items if item.bad]
        return landed.model_copy(
            update={
                "stream": self._stream(a.table, wanted, good),
                "quarantine_stream": self._stream(
                    a.quarantine_table, quarantine_columns(declared), bad
                ),
            }
        )

    def _stream(self, table: str, columns, rows: list[dict[str, object]]) -> str:  # type: ignore[no-untyped-def]
        if not rows:
            return ""
        assert self.bigquery is not None
        schema = arrow_schema(Column(c.name, c.type, c.mode) for c in columns)
        rows = [{name: row.get(name) for name in schema.names} for row in rows]
        for row in rows:
            row.update({f.name: [] for f in schema if pa.types.is_list(f.type) and not row[f.name]})
        stream = streams.create_pending(self.bigquery, TableId.parse(table))
        appender = streams.Appender(self.bigquery, stream, schema)
        appender.append(pa.Table.from_pylist(rows, schema=schema))
        appender.close()
        streams.finalize(self.bigquery, stream)
        return stream


def _lineage(a: Assignment, number: int) -> dict[str, object]:
    return {
        "_tenant_id": a.run.tenant,
        "_pipeline_id": a.run.pipeline,
        "_run_id": a.run.run,
        "_chunk_id": a.chunk.chunk_id,
        "_row_number": number,
        "_source": a.chunk.input_id,
        "_snapshot": a.snapshot,
        "_ingested_at": a.ingest_time,
        "ingestion_date": a.ingest_time.astimezone(dt.UTC).date(),
        "_attempt": a.chunk_attempt,
    }


def _row(a: Assignment, number: int, item: Item) -> dict[str, object]:
    return {
        **_lineage(a, number),
        "service": item.key,
        "cost": Decimal(item.money[0]),
        "version": item.version,
        **dict(zip(a.spec.scope_columns, _scope(a, item), strict=False)),
    }


def _scope(a: Assignment, item: Item) -> list[object]:
    """Return a row's values of declared scope columns, in their types."""
    types = {column.name: column.type for column in a.spec.columns}
    read: dict[str, Callable[[str], object]] = {
        "DATE": dt.date.fromisoformat,
        "TIMESTAMP": _utc,
        "INT64": int,
        "STRING": str,
    }
    texts = zip(a.spec.scope_columns, (item.scope, *item.fixed), strict=False)
    return [
        read[types[column]](text) if column in types else a.chunk.input_id for column, text in texts
    ]


def _utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def _bad_row(a: Assignment, number: int, item: Item) -> dict[str, object]:
    return {
        **_lineage(a, number),
        "_scope": "/".join((item.scope, *item.fixed)),
        "reasons": ["CAST service: found x"],
        "raw_row": "{}",
        "cost": Decimal(item.money[0]),
        "cost__text": item.money[0],
    }
