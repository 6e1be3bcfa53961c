"""Query jobs: statements that run once, reads, and settling what became of a job."""

import dataclasses
import datetime as dt
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from google.api_core import exceptions
from google.api_core.page_iterator import Page
from google.cloud import bigquery
from google.cloud.bigquery.job import QueryJob
from google.cloud.bigquery.table import Row as ClientRow
from google.cloud.bigquery.table import RowIterator

from libs.bigquery.client import BigQuery, rest_retry
from libs.bigquery.columns import Column
from libs.bigquery.deadline import Deadline
from libs.bigquery.failures import (
    JobIdTaken,
    QueryRejected,
    TableNotFound,
    calling,
    error_reason,
    first_line,
    unavailable,
)
from libs.bigquery.ids import TableId
from libs.bigquery.parameters import query_parameters

TIMEOUT: Final = 60.0
"""Seconds that a statement may take unless told otherwise."""

_NONE: Final[Mapping[str, object]] = {}
_NO_LABELS: Final[Mapping[str, str]] = {}

Row = dict[str, object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A statement that succeeded.

    `affected_rows` is None for what is no DML. `rows` are those of a SELECT, else empty.
    `bytes_processed` is None where BigQuery does not say.
    """

    job_id: str
    affected_rows: int | None
    rows: list[Row]
    bytes_processed: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SettledJob:
    """A job that is done. `error` is the first line of BigQuery's text, empty if it succeeded."""

    job_id: str
    succeeded: bool
    affected_rows: int | None
    error: str
    error_reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a statement would do.

    None where BigQuery (the embedded one) does not say,
    and for `columns` also where one is of a type that tables of the product do not have.
    """

    tables: tuple[TableId, ...] | None
    columns: tuple[Column, ...] | None
    bytes_processed: int | None
    statement_type: str | None


def run_once(
    bq: BigQuery,
    sql: str,
    *,
    job_id: str,
    parameters: Mapping[str, object] = _NONE,
    labels: Mapping[str, str] = _NO_LABELS,
    maximum_bytes_billed: int | None = None,
    timeout: float = TIMEOUT,
) -> Finished:
    """Run `sql` under `job_id`, or join the job of that id that runs or ran already.

    Repeating the call, after a failure too, never runs the statement twice: a failed job fails
    again the same way. Only SELECT results that BigQuery no longer has are read anew.

    Raises:
        QueryRejected, TableNotFound: BigQuery refused the statement.
        JobIdTaken: The id belongs to another statement.
        WarehouseUnavailable: No answer within `timeout`; the job may still run: repeat or settle.
    """
    limit = Deadline(timeout)
    config = _config(parameters, labels, maximum_bytes_billed)
    with calling(bq.endpoint, "bigquery.run_once", f"run job {job_id}", job=job_id):
        try:
            job = _insert(bq, sql, config, limit, job_id)
        except exceptions.Conflict:
            job = _get_job(bq, job_id, limit)
            if job.query and job.query != sql:
                text = f"job {job_id} exists and runs another statement: choose another id"
                raise JobIdTaken(text, job=job_id) from None
        _wait(bq, job, limit)
        try:
            rows = _rows(bq, job, limit)
        except exceptions.NotFound:
            if job.statement_type != "SELECT":
                raise
            rows = _rows(bq, _insert(bq, sql, config, limit), limit)
        return Finished(
            job_id=job_id,
            affected_rows=job.num_dml_affected_rows,
            rows=rows,
            bytes_processed=job.total_bytes_processed or None,
        )


def query(
    bq: BigQuery,
    sql: str,
    parameters: Mapping[str, object] = _NONE,
    *,
    timeout: float = TIMEOUT,
    labels: Mapping[str, str] = _NO_LABELS,
    maximum_bytes_billed: int | None = None,
) -> list[Row]:
    """Return the rows that `sql` selects, one dict a row, in order.

    Meant for reads and for statements that may be repeated: each call is a job of its own, and a
    lost answer can run it twice.

    Raises:
        QueryRejected, TableNotFound: BigQuery refused the statement.
        WarehouseUnavailable: No answer within `timeout`.
    """
    limit = Deadline(timeout)
    config = _config(parameters, labels, maximum_bytes_billed)
    config.job_timeout_ms = int(timeout * 1000)
    with calling(bq.endpoint, "bigquery.query", "run a query"):
        job = _insert(bq, sql, config, limit)
        _wait(bq, job, limit)
        return _rows(bq, job, limit)


def stream(
    bq: BigQuery,
    sql: str,
    parameters: Mapping[str, object] = _NONE,
    *,
    timeout: float = TIMEOUT,
) -> Generator[Row]:
    """Yield the rows that `sql` selects, in order; some are fetched while those before are used.

    For results of many pages. Fails as `query` does, before the first row or at any other;
    `timeout` is that of the statement, and of each page.
    """
    limit = Deadline(timeout)
    config = _config(parameters, _NO_LABELS, None)
    config.job_timeout_ms = int(timeout * 1000)
    with (
        calling(bq.endpoint, "bigquery.query", "run a query"),
        ThreadPoolExecutor(1, "pages") as ahead,
    ):
        found = _found(bq, _insert(bq, sql, config, limit), limit)
        pages = iter(found.pages)
        coming = ahead.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = ahead.submit(next, pages, None)
            yield from _page_dicts(found.schema, page)


def settle(bq: BigQuery, job_id: str, *, timeout: float = TIMEOUT) -> SettledJob | None:
    """Wait until the job of `job_id` is done and say how it ended; None if there is no such job.

    Raises:
        WarehouseUnavailable: BigQuery does not answer, or the job still runs after `timeout`.
    """
    limit = Deadline(timeout)
    with calling(bq.endpoint, "bigquery.settle", f"settle job {job_id}", job=job_id):
        try:
            job = _get_job(bq, job_id, limit)
        except exceptions.NotFound:
            return None
        _wait_done(bq, job, limit)
    failure = job.error_result or {}
    text = str(failure.get("message") or "").strip()
    return SettledJob(
        job_id=job_id,
        succeeded=not failure,
        affected_rows=job.num_dml_affected_rows,
        error=text.splitlines()[0] if text else str(failure.get("reason") or ""),
        error_reason=str(failure.get("reason") or ""),
    )


def dry_run(
    bq: BigQuery, sql: str, parameters: Mapping[str, object] = _NONE, *, timeout: float = TIMEOUT
) -> DryRun:
    """Check `sql` without running it; raise QueryRejected or TableNotFound if it cannot run."""
    config = _config(parameters, _NO_LABELS, None)
    config.dry_run = True
    config.use_query_cache = False
    with calling(bq.endpoint, "bigquery.dry_run", "check a query"):
        job = _insert(bq, sql, config, Deadline(timeout))
    tables = tuple(TableId(t.project, t.dataset_id, t.table_id) for t in job.referenced_tables)
    return DryRun(
        tables=tables or None,
        columns=_columns(job),
        bytes_processed=job.total_bytes_processed or None,
        statement_type=job.statement_type,
    )


def _columns(job: QueryJob) -> tuple[Column, ...] | None:
    try:
        return tuple(Column.from_field(field) for field in job.schema or ()) or None
    except ValueError:
        return None


def _config(
    parameters: Mapping[str, object],
    labels: Mapping[str, str],
    maximum_bytes_billed: int | None,
) -> bigquery.QueryJobConfig:
    config = bigquery.QueryJobConfig(
        query_parameters=query_parameters(parameters), labels=dict(labels)
    )
    if maximum_bytes_billed is not None:
        config.maximum_bytes_billed = maximum_bytes_billed
    return config


def _insert(
    bq: BigQuery,
    sql: str,
    config: bigquery.QueryJobConfig,
    limit: Deadline,
    job_id: str | None = None,
) -> QueryJob:
    try:
        return bq.rest.query(
            sql,
            job_config=config,
            job_id=job_id,
            job_retry=None,
            retry=rest_retry(limit.left()),
            timeout=limit.left(),
        )
    except exceptions.ClientError as error:
        _raise_refusal(error)
        raise


def _raise_refusal(error: exceptions.GoogleAPICallError) -> None:
    """Raise what a caller can act on: the statement's own fault, in BigQuery's words."""
    busy = error_reason(error) in {"rateLimitExceeded", "jobRateLimitExceeded", "quotaExceeded"}
    if isinstance(error, exceptions.BadRequest):
        raise QueryRejected(first_line(error)) from error
    if isinstance(error, exceptions.NotFound | exceptions.Forbidden) and not busy:
        raise TableNotFound(first_line(error), table="") from error


def _get_job(bq: BigQuery, job_id: str, limit: Deadline) -> QueryJob:
    found = bq.rest.get_job(job_id, retry=rest_retry(limit.left()), timeout=limit.left())
    if not isinstance(found, QueryJob):
        raise JobIdTaken(f"job {job_id} is no query: choose another id", job=job_id)
    return found


def _wait(bq: BigQuery, job: QueryJob, limit: Deadline) -> None:
    """Wait until `job` is done; raise why it failed."""
    _wait_done(bq, job, limit)
    error = job.exception(timeout=limit.left()) if job.error_result else None  # type: ignore[no-untyped-call]
    if isinstance(error, exceptions.GoogleAPICallError):
        _raise_refusal(error)
        raise error


def _wait_done(bq: BigQuery, job: QueryJob, limit: Deadline) -> None:
    pause, idle = 0.05, threading.Event()
    while job.state != "DONE":
        if limit.passed:
            hint = "the job goes on; the same call waits for it again"
            raise unavailable(bq.endpoint, f"see job {job.job_id} end in time", hint=hint)
        idle.wait(min(pause, limit.left()))
        pause = min(pause * 1.5, 1.0)
        job.reload(retry=rest_retry(limit.left()), timeout=limit.left())


def _rows(bq: BigQuery, job: QueryJob, limit: Deadline) -> list[Row]:
    """Return a finished SELECT's rows; BigQuery keeps them about a day."""
    if job.statement_type not in {None, "", "SELECT"}:
        return []
    found = _found(bq, job, limit)
    return list(_dicts(found.schema, found))


def _found(bq: BigQuery, job: QueryJob, limit: Deadline) -> RowIterator:
    _wait(bq, job, limit)
    found = job.result(retry=rest_retry(limit.left()), timeout=limit.left(), job_retry=None)
    assert isinstance(found, RowIterator), "a SELECT has a result"
    return found


def _dicts(schema: Sequence[bigquery.SchemaField], rows: Iterable[ClientRow]) -> Iterator[Row]:
    """Yield rows as dicts; a row's own `items` copies each value deeply."""
    names = [field.name for field in schema]
    return (dict(zip(names, row, strict=True)) for row in rows)


def _page_dicts(schema: Sequence[bigquery.SchemaField], page: Page) -> Iterator[Row]:
    """Yield a page's rows as dicts, without the client's look at each cell's field where it is plain."""
    if any(field.field_type not in PLAIN or field.mode == "REPEATED" for field in schema):
        return _dicts(schema, page)
    columns = [(field.name, PLAIN[field.field_type]) for field in schema]
    return (
        {
            name: None if (value := cell["v"]) is None else read(value)
            for (name, read), cell in zip(columns, row["f"], strict=True)
        }
        for row in page.raw_page.get("rows", ())
    )


def _moment(text: str) -> dt.datetime:
    """Return a TIMESTAMP, which the client asks for in microseconds since 1970."""
    return EPOCH + dt.timedelta(microseconds=int(text))


EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
PLAIN: Final[Mapping[str, Callable[[str], object]]] = {
    "STRING": str,
    "INTEGER": int,
    "INT64": int,
    "TIMESTAMP": _moment,
}
"""How cells of a type are read; all come as text."""
