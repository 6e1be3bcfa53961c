"""What the engine's tests do with a dataset of their own."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Self

import pyarrow as pa
from google.api_core.exceptions import Conflict, GoogleAPICallError
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

from tests.support.appending import ONCE, PENDING, append, commit, open_stream
from tests.support.engine import Engine

CALL_SECONDS: Final = 20

Row = tuple[Any, ...]


class Warehouse:
    """A dataset in a running engine, a REST client and a Storage Write client."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self.engine = engine
        self.client = engine.client()
        self.writer = engine.write_client()
        self.dataset = dataset

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()  # type: ignore[no-untyped-call]
        self.writer.transport.close()  # type: ignore[no-untyped-call]

    def again(self) -> Warehouse:
        """Return the same dataset with clients of its own, to be closed by the caller."""
        return Warehouse(self.engine, self.dataset)

    def table(self, name: str, *columns: tuple[str, str] | tuple[str, str, str]) -> str:
        """Create a table through REST; return project.dataset.table."""
        schema = [bigquery.SchemaField(*column) for column in columns]
        table = bigquery.Table(f"{self.dataset}.{name}", schema)
        self.client.create_table(table, timeout=CALL_SECONDS, retry=ONCE)
        return f"{self.dataset}.{name}"

    def ensured_table(self, name: str, *columns: tuple[str, str]) -> str:
        """Create a table through REST unless there is one; return project.dataset.table."""
        try:
            return self.table(name, *columns)
        except Conflict:
            return f"{self.dataset}.{name}"

    def drop(self, table: str) -> None:
        """Delete a table (project.dataset.table) through REST."""
        self.client.delete_table(table, retry=ONCE, timeout=CALL_SECONDS)

    def run(
        self, sql: str, *, seconds: float = CALL_SECONDS, job_id: str | None = None, **values: Any
    ) -> bigquery.QueryJob:
        """Run one statement; `{d}` stands for the dataset. Parameters are (type, value)."""
        bound = [_parameter(name, *given) for name, given in values.items()]
        config = bigquery.QueryJobConfig(query_parameters=bound)
        job = self.client.query(
            sql.replace("{d}", self.dataset),
            job_id=job_id,
            job_config=config,
            retry=ONCE,
            job_retry=None,
            timeout=seconds,
        )
        job.result(retry=ONCE, timeout=seconds)
        return job

    def rows(self, sql: str, *, seconds: float = CALL_SECONDS, **values: Any) -> list[Row]:
        """Return a query's rows as tuples."""
        job = self.run(sql, seconds=seconds, **values)
        return [tuple(row.values()) for row in job.result(retry=ONCE, timeout=seconds)]

    def column_types(self, name: str) -> dict[str, str]:
        """Return the types that the table's columns are listed with."""
        schema = self.client.get_table(f"{self.dataset}.{name}").schema
        return {field.name: field.field_type for field in schema}

    def relist(self, name: str, *columns: tuple[str, str]) -> None:
        """Make REST list the table with `columns`."""
        table = self.client.get_table(f"{self.dataset}.{name}")
        table.schema = [bigquery.SchemaField(*column) for column in columns]
        self.client.update_table(table, ["schema"], retry=ONCE, timeout=CALL_SECONDS)

    def stage(self, table: str, *batches: pa.RecordBatch) -> list[str]:
        """Append each batch to a finalized PENDING stream of its own; return the names."""
        streams = []
        for rows in batches:
            stream = open_stream(self.writer, table, PENDING)
            (response,) = append(self.writer, stream, rows)
            assert not response.error.code, response.error.message
            self.seal(stream)
            streams.append(stream)
        return streams

    def seal(self, stream: str) -> int:
        """Finalize `stream`; return how many rows it has."""
        done = self.writer.finalize_write_stream(name=stream, retry=ONCE, timeout=CALL_SECONDS)
        return done.row_count

    def commit(self, table: str, streams: Sequence[str]) -> types.BatchCommitWriteStreamsResponse:
        """Commit finalized streams."""
        return commit(self.writer, table, streams)

    def load(self, table: str, rows: pa.RecordBatch) -> None:
        """Append and commit `rows`."""
        assert self.commit(table, self.stage(table, rows)).commit_time


@contextlib.contextmanager
def opened(engine: Engine) -> Iterator[Warehouse]:
    """Yield a new dataset; close the clients afterwards."""
    with Warehouse(engine, f"{engine.project}.d_{uuid.uuid4().hex[:8]}") as warehouse:
        warehouse.client.create_dataset(warehouse.dataset, timeout=CALL_SECONDS)
        yield warehouse


def failure_of(call: Callable[[], object]) -> GoogleAPICallError | None:
    """Return what the engine refuses `call` with, or None if it does not."""
    try:
        call()
    except GoogleAPICallError as error:
        return error
    return None


def record(**columns: Sequence[object]) -> pa.RecordBatch:
    """Return rows of these columns, in Arrow's own guess of their types."""
    return pa.RecordBatch.from_pydict(columns)


def _parameter(
    name: str, kind: str, value: Any
) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if kind.startswith("ARRAY<"):
        return bigquery.ArrayQueryParameter(name, kind[6:-1], value)
    return bigquery.ScalarQueryParameter(name, kind, value)
