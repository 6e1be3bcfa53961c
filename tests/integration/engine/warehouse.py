"""What the engine's tests do with a dataset of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

from tests.support.appending import PENDING, append, commit, open_stream
from tests.support.engine import Engine

CALL_SECONDS = 20
Row = tuple[Any, ...]


class Warehouse:
    """A dataset in a running engine, a REST client and a Storage Write client."""

    def __init__(self, engine: Engine, dataset: str) -> None:
        self.engine = engine
        self.client = engine.client()
        self.writer = engine.write_client()
        self.dataset = f"{engine.project}.{dataset}"
        self.client.create_dataset(self.dataset, timeout=CALL_SECONDS)

    def table(self, name: str, *columns: tuple[str, str] | tuple[str, str, str]) -> str:
        """Create a table through REST; return project.dataset.table."""
        schema = [bigquery.SchemaField(*column) for column in columns]
        table = bigquery.Table(f"{self.dataset}.{name}", schema)
        self.client.create_table(table, timeout=CALL_SECONDS, retry=None)
        return f"{self.dataset}.{name}"

    def run(
        self, sql: str, *, seconds: float = CALL_SECONDS, **parameters: Any
    ) -> bigquery.QueryJob:
        """Run one statement; `{d}` stands for the dataset. Parameters are (type, value)."""
        bound = [_parameter(name, *given) for name, given in parameters.items()]
        config = bigquery.QueryJobConfig(query_parameters=bound)
        job = self.client.query(
            sql.replace("{d}", self.dataset),
            job_config=config,
            retry=None,
            job_retry=None,
            timeout=seconds,
        )
        job.result(retry=None, timeout=seconds)
        return job

    def rows(self, sql: str, *, seconds: float = CALL_SECONDS, **parameters: Any) -> list[Row]:
        """Return a query's rows as tuples."""
        job = self.run(sql, seconds=seconds, **parameters)
        return [tuple(row.values()) for row in job.result(retry=None, timeout=seconds)]

    def types(self, name: str) -> dict[str, str]:
        """Return the types that the table's columns are listed with."""
        schema = self.client.get_table(f"{self.dataset}.{name}").schema
        return {field.name: field.field_type for field in schema}

    def stage(self, table: str, *batches: pa.RecordBatch) -> list[str]:
        """Append each batch to a finalized PENDING stream of its own; return the names."""
        streams = []
        for rows in batches:
            stream = open_stream(self.writer, table, PENDING)
            (response,) = append(self.writer, stream, rows)
            assert not response.error.code, response.error.message
            self.writer.finalize_write_stream(name=stream, timeout=CALL_SECONDS)
            streams.append(stream)
        return streams

    def load(self, table: str, rows: pa.RecordBatch) -> None:
        """Append and commit `rows`."""
        done = self.commit(table, self.stage(table, rows))
        assert not done.stream_errors

    def commit(
        self, table: str, streams: Sequence[str]
    ) -> types.BatchCommitWriteStreamsResponse:
        return commit(self.writer, table, streams)


def _parameter(
    name: str, kind: str, value: Any
) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if kind.startswith("ARRAY<"):
        return bigquery.ArrayQueryParameter(name, kind[6:-1], value)
    return bigquery.ScalarQueryParameter(name, kind, value)
