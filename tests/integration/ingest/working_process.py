"""A process that works on every chunk of a file and says how much memory that took at most.

Rows are turned into the bytes of an append, as the sink of BigQuery does, and dropped.
"""

import datetime as dt
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from libs.bigquery.batches import Gathering
from libs.bigquery.columns import Column, arrow_schema
from libs.common.lineage import PlatformColumn
from services.ingest.columns import TargetColumn
from services.ingest.ingestion import Ingestion, Task
from services.ingest.sources.files import Files
from services.ingest.sources.source import Splitting
from services.ingest.stores.local_files import LocalFiles

COLUMNS = tuple(
    TargetColumn.parse(*spec.split())
    for spec in ("day DATE", "project STRING", "tokens INT64", "cost BIGNUMERIC", "note STRING")
)


class Dropped:
    """A stream that keeps nothing but a count."""

    def __init__(self, columns: Sequence[PlatformColumn]) -> None:
        schema = arrow_schema(Column(c.name, c.type, c.mode) for c in columns)
        self._schema = schema
        self._requests = Gathering(schema, target=4 << 20, cap=8 << 20)
        self._rows = 0

    def append(self, rows: pa.Table) -> None:
        self._rows += rows.num_rows
        for batch in self._requests.add(rows.select(self._schema.names).cast(self._schema)):
            batch.serialize()

    def finish(self) -> tuple[str, int]:
        return "dropped", self._rows

    def abort(self) -> None:
        return


class Nowhere:
    """A sink of dropped streams."""

    def open(
        self, table: str, columns: Sequence[PlatformColumn], cancelled: threading.Event
    ) -> Dropped:
        return Dropped(columns)


def main(root: Path, path: str) -> dict[str, int]:
    """Read `{root}/acme/{path}` chunk by chunk."""
    source = Files(store=LocalFiles(root, "acme"), path=path, format="csv")
    now = dt.datetime.now(dt.UTC)
    plan = source.plan(
        Splitting(columns=COLUMNS, window=None, chunk_bytes=64 << 20, spec_hash="spec")
    )
    rows = 0
    for chunk in plan.chunks:
        task = Task(
            tenant="acme",
            pipeline="p",
            run="r",
            chunk=chunk,
            chunk_attempt=1,
            columns=COLUMNS,
            scope=(),
            key_columns=(),
            rules=(),
            table="local.acme_raw.t",
            quarantine_table="local.acme_raw.t__quarantine",
            staging=True,
            snapshot=1,
            ingest_time=now,
            deadline=now + dt.timedelta(hours=1),
        )
        ingestion = Ingestion(task, Nowhere(), now=lambda: now)
        rows += ingestion.run(source, threading.Event(), lambda _: None).landed_row_count
    return {"rows": rows, "chunks": len(plan.chunks), "peak_bytes": peak_bytes()}


def peak_bytes() -> int:
    """Return the most memory that was ever resident; `ru_maxrss` would count the parent's before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
