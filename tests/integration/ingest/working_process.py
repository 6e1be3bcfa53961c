"""A process that works on every chunk of a file and says how it ended and what it took.

Rows are turned into the bytes of an append, as the sink of BigQuery does, and dropped.
"""

import datetime as dt
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from libs.bigquery.batches import Gathering
from libs.bigquery.columns import Column, arrow_schema
from libs.common.errors import ServiceError
from libs.common.lineage import PlatformColumn
from services.ingest.columns import TargetColumn
from services.ingest.ingestion import Ingestion, Tally, Task
from services.ingest.sources.files import Files
from services.ingest.sources.source import Splitting
from services.ingest.stores.local_files import LocalFiles

FORMATS: dict[str, Literal["csv", "ndjson", "parquet"]] = {
    "csv": "csv",
    "ndjson": "ndjson",
    "parquet": "parquet",
}


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


def main(root: Path, path: str, specs: Sequence[str]) -> dict[str, Any]:
    """Read `{root}/acme/{path}`, whose format its name has, as columns written as `name TYPE`.

    Returns rows landed and quarantined, chunks, the reason of a failure or an empty one, the peak of
    resident memory, and seconds of the processor.
    """
    said: dict[str, Any] = {"rows": 0, "quarantined": 0, "chunks": 0, "failure": ""}
    begin = time.process_time()
    try:
        for tally in _tallies(root, path, tuple(TargetColumn.parse(*s.split()) for s in specs)):
            said["rows"] += tally.landed_row_count
            said["quarantined"] += tally.quarantined_row_count
            said["chunks"] += 1
    except ServiceError as error:
        said["failure"] = error.reason
    return said | {"peak_bytes": peak_bytes(), "cpu_seconds": time.process_time() - begin}


def _tallies(root: Path, path: str, columns: tuple[TargetColumn, ...]) -> Iterator[Tally]:
    format_ = next(FORMATS[part] for part in path.split(".") if part in FORMATS)
    source = Files(store=LocalFiles(root, "acme"), path=path, format=format_)
    now = dt.datetime.now(dt.UTC)
    plan = source.plan(
        Splitting(columns=columns, window=None, chunk_bytes=64 << 20, spec_hash="spec")
    )
    for chunk in plan.chunks:
        task = Task(
            tenant="acme",
            pipeline="p",
            run="r",
            chunk=chunk,
            chunk_attempt=1,
            columns=columns,
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
        yield ingestion.run(source, threading.Event(), lambda _: None)


def peak_bytes() -> int:
    """Return the most memory that was ever resident; `ru_maxrss` would count the parent's before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])))
