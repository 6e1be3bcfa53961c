"""`python -m bench.engine [million rows]`: what the embedded BigQuery takes for a run, step by step.

Two processes append as workers do; the statements are the orchestrator's. Meanwhile a journal
appends one record at a time. Beside it the floor: DuckDB alone storing the same rows.
"""

import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pyarrow as pa

from bench.engine_rows import DECLARED, STAGING, TARGET, digest, source, store
from bench.machine import described
from libs.bigquery import jobs, streams
from libs.bigquery.client import BigQuery, Connection
from libs.bigquery.columns import Column, arrow_schema
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.tables import ensure_table
from services.orchestrator.specs import (
    ColumnSpec,
    FileOptions,
    PipelineSpec,
    SourceSpec,
    TargetSpec,
    WriteSpec,
)
from services.orchestrator.warehouse import statements as sql
from tests.support.engine import ROOT, Engine, stored_engine

WORKERS: Final = 2
CHUNK: Final = 250_000
PAUSE: Final = 0.1
"""Seconds between two records of the journal."""
MINUTES: Final = 1200.0
RECORD: Final = (Column("i", "INT64"), Column("body", "STRING"))
SPEC: Final = PipelineSpec(
    tenant="acme_corp",
    pipeline="p_usage",
    source=SourceSpec(source_id="usage", options=FileOptions(path="*.csv", format="csv")),
    schema_id="usage",
    columns=tuple(ColumnSpec(name=c.name, type=c.type) for c in DECLARED),
    target=TargetSpec(dataset="raw", table="usage"),
    write=WriteSpec.model_validate({"mode": "replace", "scope": ("_source",)}),
)


@dataclasses.dataclass(slots=True)
class Step:
    """What one step took; `journal` are the latencies of records appended meanwhile, in seconds."""

    name: str
    wall: float
    cpu: float
    peak: int
    journal: list[float]

    def told(self) -> str:
        """Return a line of the table."""
        late = sorted(self.journal) or [0.0]
        p50, p99 = statistics.median(late), late[int(len(late) * 0.99) - (len(late) > 1)]
        figures = f"{self.wall:8.2f} {self.cpu:8.2f} {self.peak / 2**20:8.0f}"
        return f"{self.name:34}{figures} {p50 * 1e3:8.1f} {p99 * 1e3:8.0f} {late[-1] * 1e3:8.0f}"


class Watch:
    """Measures an engine's process, and a journal beside it."""

    def __init__(self, engine: Engine, bq: BigQuery, table: TableId) -> None:
        self.pid = engine.process.pid
        self._late: list[float] = []
        self._sent: float | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._journal, args=(bq, table), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the journal."""
        self._end.set()
        self._thread.join()

    def step(self, name: str, work: Callable[[], object]) -> Step:
        """Do `work` and tell what it took of the engine."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self._late, started, cpu = [], time.monotonic(), _cpu(self.pid)
        work()
        wall = time.monotonic() - started
        if self._sent is not None:
            self._late.append(time.monotonic() - self._sent)
        step = Step(name, wall, _cpu(self.pid) - cpu, _peak(self.pid), self._late)
        print(step.told(), flush=True)
        return step

    def _journal(self, bq: BigQuery, table: TableId) -> None:
        schema = arrow_schema(RECORD)
        stream = streams.create_committed(bq, table)
        with streams.CommittedStream(bq, stream, schema, timeout=MINUTES) as journal:
            for offset in range(10**9):
                if self._end.wait(PAUSE):
                    return
                record = pa.RecordBatch.from_pylist([{"i": offset, "body": "x" * 300}], schema)
                late, self._sent = self._late, time.monotonic()
                journal.append_at(offset, record)
                late.append(time.monotonic() - self._sent)
                self._sent = None


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


class Run:
    """The steps of runs against one engine."""

    def __init__(self, engine: Engine, bq: BigQuery, rows: int) -> None:
        self._engine = engine
        self._bq = bq
        self._dataset = ensured(bq)
        self._chunks = max(WORKERS, rows // CHUNK)
        self._rows = rows // self._chunks
        self._left: list[str] = []

    def table(self, name: str, columns: tuple[Column, ...]) -> TableId:
        """Make a table."""
        table = self._dataset.table(name)
        ensure_table(self._bq, table, columns)
        return table

    def statement(self, text: str) -> list[jobs.Row]:
        """Run a statement under an id, as the orchestrator does."""
        job = f"bench_{digest(text, time.time())[:32]}"
        return jobs.run_once(self._bq, text, job_id=job, timeout=MINUTES).rows

    def append(self, table: TableId, run: str, *, batches: bool) -> None:
        """Append all chunks; commit them at the end, or what is sealed, again and again."""
        sealed: list[str] = []
        lock = threading.Lock()

        def taken() -> list[str]:
            with lock:
                found = list(sealed)
                sealed.clear()
            return found

        def worker(number: int) -> None:
            first = number * self._chunks // WORKERS
            count = (number + 1) * self._chunks // WORKERS - first
            for stream in self._worker(table, run, first, count):
                with lock:
                    sealed.append(stream)

        with ThreadPoolExecutor(WORKERS) as threads:
            working = [threads.submit(worker, number) for number in range(WORKERS)]
            while batches and not all(one.done() for one in working):
                time.sleep(0.5)
                if found := taken():
                    streams.commit(self._bq, table, found, timeout=MINUTES)
            for one in working:
                one.result()
        self._left = taken()

    def commit(self, table: TableId) -> None:
        """Commit what `append` left sealed."""
        if self._left:
            streams.commit(self._bq, table, self._left, timeout=MINUTES)

    def _worker(self, table: TableId, run: str, first: int, count: int) -> Iterator[str]:
        given = (self._engine.rest, self._engine.grpc, str(table), run)
        numbers = map(str, (first, count, self._rows))
        command = [sys.executable, "-m", "bench.engine_rows", *given, *numbers]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            yield from (line.strip() for line in process.stdout)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    @property
    def scope(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The objects that a run replaces: all."""
        found = sorted({source(chunk) for chunk in range(self._chunks)})
        return (("_source", tuple(found)),)


def ensured(bq: BigQuery) -> DatasetId:
    """Make the dataset."""
    dataset = DatasetId(bq.connection.project, "bench")
    ensure_dataset(bq, dataset)
    return dataset


SELECT: Final = (
    "SELECT account, service, model, DATE(start_time) AS day, _source, SUM(cost) AS cost,"
    " SUM(tokens) AS tokens, COUNT(*) AS row_count FROM {table} GROUP BY 1, 2, 3, 4, 5"
)
FACTS: Final = {
    "_tenant_id": "acme_corp",
    "_pipeline_id": "p_usage",
    "_transform": "daily",
    "_run_id": digest("third"),
}
SILVER: Final = ("account", "service", "model", "day", "_source", "cost", "tokens", "row_count")


def measured(run: Run, watch: Watch) -> None:
    """Do one run of each kind, and what stands between."""
    target = run.table("usage", TARGET)
    money = ("cost", "list_cost")
    watch.step("journal alone", lambda: time.sleep(3))
    watch.step("append: rows", lambda: run.append(target, "first", batches=False))
    watch.step("append: commit", lambda: run.commit(target))
    staging = run.table("staging_run", STAGING)
    watch.step("replace: rows and commits", lambda: run.append(staging, "third", batches=True))
    watch.step("replace: last commit", lambda: run.commit(staging))
    where = sql.one_of("`_source`", run.scope[0][1], "STRING")
    owned = sql.in_scope(SPEC, run.scope)
    for name, text in (
        ("replace: chunk counts", sql.chunk_counts(staging.sql, money)),
        ("replace: scope counts", sql.scope_counts(staging.sql, where, "_source", "STRING", money)),
        (
            "replace: old scope counts",
            sql.scope_counts(target.sql, owned, "_source", "STRING", money),
        ),
        (
            "replace: table rule",
            f"SELECT COUNT(*) AS n, COUNT(DISTINCT record_id) AS d FROM {staging.sql}",
        ),
        ("replace: partitions", sql.partitions(staging.sql, "ingestion_date", "DATE", where)),
    ):
        watch.step(name, lambda text=text: run.statement(text))  # type: ignore[misc]
    what = sql.Publishing(
        target=target.sql, staging=staging.sql, scope=run.scope, partitions=("2026-11-20",)
    )
    merge = sql.publish(SPEC, what)
    watch.step("replace: MERGE", lambda: run.statement(merge))
    watch.step("replace: MERGE again", lambda: run.statement(merge))
    silver = TableId.parse(str(target).replace(".usage", ".staging_daily"))
    made = sql.stage_transform(
        silver.sql,
        SELECT.format(table=target.sql),
        FACTS,
        attempt=1,
        ingest_time="2026-11-20 12:00:00+00:00",
        expire_time="2030-11-27 12:00:00+00:00",
    )
    watch.step("transform: CREATE TABLE AS", lambda: run.statement(made))
    daily = silver.sql.replace("staging_daily", "daily")
    run.statement(f"CREATE TABLE {daily} AS SELECT * FROM {silver.sql} WHERE FALSE")
    columns = (*SILVER, *(column.name for column in sql.SILVER_LINEAGE))
    published = sql.publish_transform(
        target=daily,
        staging=silver.sql,
        columns=columns,
        owner={"_pipeline_id": "p_usage", "_transform": "daily"},
        inside=sql.one_of("t._source", run.scope[0][1], "STRING"),
    )
    watch.step("transform: MERGE", lambda: run.statement(published))
    found = run.statement(f"SELECT COUNT(*) AS n, COUNT(DISTINCT _run_id) AS r FROM {target.sql}")
    print(f"rows in the target: {found[0]}")


FLOOR: Final = """
import duckdb, sys, time, resource
db = duckdb.connect(sys.argv[2]); db.execute("SET threads = 2"); db.execute("SET memory_limit = '1GB'; SET enable_progress_bar = false")
db.execute("SET preserve_insertion_order = false")
t, c = time.monotonic(), time.process_time()
db.execute(f"CREATE TABLE t AS SELECT * FROM '{sys.argv[1]}'")
db.close()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{'floor: DuckDB CREATE TABLE AS':34}{time.monotonic() - t:8.2f} {time.process_time() - c:8.2f} {peak:8.0f}")
"""


def floor(rows: int, directory: Path) -> None:
    """Let DuckDB alone store as many rows of a Parquet file."""
    file = directory / "rows.parquet"
    store(file, rows)
    python = ROOT / ".venvs" / "engine" / "bin" / "python"
    command = [str(python), "-c", FLOOR, str(file), str(directory / "floor.duckdb")]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")


def main() -> int:
    """Measure and print."""
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else "1") * 1_000_000)
    print(f"{rows} rows; {described()}")
    print(
        f"{'':34}{'wall s':>8} {'cpu s':>8} {'peak MiB':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"
    )
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as directory:
        floor(rows, Path(directory))
    with stored_engine() as engine, contextlib.ExitStack() as closing:
        connection = Connection(engine.project, "EU", engine.rest, engine.grpc)
        bq, own = BigQuery(connection), BigQuery(connection)
        closing.callback(bq.close)
        closing.callback(own.close)
        run = Run(engine, bq, rows)
        watch = Watch(engine, own, run.table("journal", RECORD))
        closing.callback(watch.close)
        measured(run, watch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
