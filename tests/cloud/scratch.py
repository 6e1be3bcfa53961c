"""A scratch dataset in a BigQuery, and what the checks of our beliefs do in it with Google's clients."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types

from tests.support.appending import ONCE, append, open_stream, table_path

SECONDS: Final = 120
LABEL: Final = "convergence_check"
SCRATCH: Final = "scratch"
LIFETIME: Final = dt.timedelta(hours=6)
"""Of a table, and of a dataset that an earlier run left behind."""

Field = tuple[str, str] | tuple[str, str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Clients of one BigQuery and a dataset that is the run's own, as `project.dataset`."""

    client: bigquery.Client
    writer: BigQueryWriteClient
    dataset: str
    names: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def named(self) -> str:
        """Return `project.dataset.table` of a table that is not there yet."""
        return f"{self.dataset}.t{next(self.names)}"

    def table(self, *fields: Field) -> str:
        """Create a table, of one column `n` by default; return its name."""
        schema = [bigquery.SchemaField(*field) for field in fields or [("n", "INT64")]]
        name = self.named()
        self.client.create_table(bigquery.Table(name, schema), retry=ONCE, timeout=SECONDS)
        return name

    def run(
        self, sql: str, *parameters: Any, job_id: str | None = None, **config: Any
    ) -> bigquery.QueryJob:
        """Run a statement to its end; raise what refuses it. Nothing is asked twice."""
        job = self.submit(sql, *parameters, job_id=job_id, **config)
        job.result(retry=ONCE, timeout=SECONDS)
        return job

    def submit(
        self, sql: str, *parameters: Any, job_id: str | None = None, **config: Any
    ) -> bigquery.QueryJob:
        """Start a statement."""
        settings = bigquery.QueryJobConfig(
            query_parameters=list(parameters), use_query_cache=False, **config
        )
        return self.client.query(
            sql, job_config=settings, job_id=job_id, job_retry=None, retry=ONCE, timeout=SECONDS
        )

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return what a query selects."""
        found = self.run(sql, *parameters).result(retry=ONCE, timeout=SECONDS)
        return [tuple(row.values()) for row in found]

    def found(self, job_id: str) -> list[tuple[Any, ...]]:
        """Return what the query of that id selected."""
        job: Any = self.client.get_job(job_id, timeout=SECONDS)
        return [tuple(row.values()) for row in job.result(retry=ONCE, timeout=SECONDS)]

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        ((found,),) = self.rows(f"SELECT COUNT(*) AS n FROM `{table}`")
        return int(found)

    def open(self, table: str, kind: int) -> str:
        """Open a stream on a table; return its name."""
        return open_stream(self.writer, table, kind, seconds=SECONDS)

    def append(
        self, stream: str, *batches: pa.RecordBatch, offset: int | None = None
    ) -> list[types.AppendRowsResponse]:
        """Append on one connection; return the answers, errors among them."""
        return append(self.writer, stream, *batches, offset=offset, seconds=SECONDS)

    def seal(self, stream: str) -> int:
        """Finalize a stream; return how many rows it has."""
        done = self.writer.finalize_write_stream(name=stream, retry=ONCE, timeout=SECONDS)
        return done.row_count

    def commit(self, table: str, *streams: str) -> types.BatchCommitWriteStreamsResponse:
        """Commit PENDING streams of a table in one call."""
        request = types.BatchCommitWriteStreamsRequest(
            parent=table_path(table), write_streams=streams
        )
        return self.writer.batch_commit_write_streams(request, retry=ONCE, timeout=SECONDS)

    def staged(self, table: str, *batches: pa.RecordBatch) -> str:
        """Append to a new PENDING stream and seal it; return its name."""
        stream = self.open(table, types.WriteStream.Type.PENDING)
        assert [answer.error.code for answer in self.append(stream, *batches)] == [0] * len(batches)
        self.seal(stream)
        return stream


def numbers(count: int, first: int = 0) -> pa.RecordBatch:
    """Return rows of one column `n`."""
    return pa.RecordBatch.from_pydict({"n": pa.array(range(first, first + count), pa.int64())})


def codes(answers: Sequence[types.AppendRowsResponse]) -> list[int]:
    """Return the code of each answer to an append, 0 of one that was taken."""
    return [answer.error.code for answer in answers]


def refusals(answer: types.BatchCommitWriteStreamsResponse) -> list[tuple[str, str]]:
    """Return code and stream of each error in an answer to a commit."""
    return [(error.code.name, error.entity) for error in answer.stream_errors]


def reason_of(error: GoogleAPICallError) -> str:
    """Return BigQuery's own word for what it refused a REST call with."""
    return str(error.errors[0].get("reason", "")) if error.errors else ""


def job_name() -> str:
    """Return an id that no job has."""
    return f"check_{uuid.uuid4().hex}"
