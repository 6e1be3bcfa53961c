"""What can go wrong with BigQuery, as kinds, and the translation from the drivers' exceptions."""

import contextlib
from collections.abc import Iterator
from typing import Final

import requests
from google.api_core import exceptions as google
from google.auth import exceptions as auth

from libs.bigquery.tracing import span
from libs.common.errors import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    ServiceError,
    Unavailable,
)


class WarehouseUnavailable(Unavailable):
    """BigQuery does not answer, or asks to come back later."""

    reason = "WAREHOUSE_UNAVAILABLE"


class WarehouseRejected(FailedPrecondition):
    """BigQuery refused an operation of the platform, and will again."""

    reason = "WAREHOUSE_REJECTED"


class WarehouseForbidden(WarehouseRejected):
    """The platform's service account lacks a right in BigQuery; no caller's key would help."""


class WarehouseConflict(Conflict):
    """The resource changed between reading and writing it."""

    reason = "RESOURCE_STALE"


class TableNotFound(NotFound):
    """No such table or dataset, or none that this service account may see."""

    reason = "TABLE_NOT_FOUND"


class DatasetNotOwned(FailedPrecondition):
    """A dataset stands in the way that does not carry the tenant's label."""

    reason = "DATASET_NOT_OWNED"


class JobIdTaken(AlreadyExists):
    """The job id belongs to another statement."""

    reason = "JOB_ID_TAKEN"


class QueryRejected(InvalidRequest):
    """BigQuery refused a SQL statement. The message is the first line of BigQuery's own."""

    reason = "QUERY_REJECTED"

    def __init__(self, message: str) -> None:
        super().__init__({"query": message}, message)


class StreamSealed(FailedPrecondition):
    """The stream was finalized, so no append can succeed any more."""

    reason = "STREAM_SEALED"


class StreamsGone(NotFound):
    """Streams ended before their rows were committed. `streams`: their names, where known."""

    reason = "STREAM_GONE"

    def __init__(self, message: str, streams: tuple[str, ...]) -> None:
        super().__init__(message, stream=",".join(streams))
        self.streams = streams


class OffsetOutOfRange(WarehouseRejected):
    """The offset lies beyond the stream's end: rows before it were never acknowledged."""


class AppendRejected(InvalidRequest):
    """BigQuery refused rows of an append; none of the request's rows were written."""

    reason = "ROWS_REJECTED"

    def __init__(self, message: str, *, table: str) -> None:
        super().__init__({"rows": message}, message, table=table)


class RowTooLarge(InvalidRequest):
    """One row alone is larger than a request may be. Sizes in serialized bytes."""

    reason = "ROW_TOO_LARGE"

    def __init__(self, size_bytes: int, allowed: int) -> None:
        text = f"a row of {size_bytes} bytes; a row may have {allowed}: shorten or drop a column"
        super().__init__({"rows": text}, text, bytes=str(size_bytes), allowed=str(allowed))


class AppendCancelled(Exception):
    """The caller's cancel event was set while rows were being sent; not a failure of BigQuery."""


_TRANSIENT: Final = (
    google.RetryError,
    google.TooManyRequests,
    google.InternalServerError,
    google.BadGateway,
    google.ServiceUnavailable,
    google.GatewayTimeout,
    google.Cancelled,
    google.Aborted,
    google.Unknown,
    auth.TransportError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    TimeoutError,
    ConnectionError,
)
_DRIVER: Final = (
    google.GoogleAPIError,
    auth.GoogleAuthError,
    requests.exceptions.RequestException,
    TimeoutError,
    ConnectionError,
)
_BUSY_REASONS: Final = frozenset(
    {"rateLimitExceeded", "jobRateLimitExceeded", "backendError", "jobBackendError"}
)


def error_reason(error: BaseException) -> str:
    """Return BigQuery's own reason code of a REST or job error, such as `invalidQuery`, or ``."""
    details = getattr(error, "errors", None) or [{}]
    first = details[0]
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


def first_line(error: google.GoogleAPICallError) -> str:
    """Return the first line of BigQuery's own text, without the address that was called."""
    details = error.errors or [{}]
    first = details[0] if isinstance(details[0], dict) else {}
    text = str(first.get("message") or error.message or "no message")
    return text.strip().splitlines()[0][:500]


def unavailable(endpoint: str, what: str, *, hint: str = "") -> WarehouseUnavailable:
    """Build the failure that says which endpoint did not answer and what was tried."""
    advice = hint or "check that it runs and can be reached; the same call may be repeated"
    return WarehouseUnavailable(
        f"BigQuery at {endpoint} does not answer (could not {what}): {advice}",
        retry_after=2.0,
        endpoint=endpoint,
    )


def kind_of(error: BaseException, endpoint: str, what: str, *, table: str = "") -> ServiceError:
    """Translate a driver's exception by its class; its text stays behind as the cause."""
    if isinstance(error, _TRANSIENT) or error_reason(error) in _BUSY_REASONS:
        return unavailable(endpoint, what)
    if isinstance(error, google.NotFound):
        text = f"could not {what}: it does not exist, or this service account may not use it"
        return TableNotFound(text, table=table)
    if isinstance(error, google.Conflict | google.PreconditionFailed):
        return _taken(error, what, table)
    if isinstance(error, google.Forbidden | google.Unauthorized | auth.GoogleAuthError):
        return _forbidden(error, endpoint, what)
    text = f"BigQuery refused to {what} ({error_reason(error) or type(error).__name__})"
    return WarehouseRejected(text, endpoint=endpoint)


def _taken(error: BaseException, what: str, table: str) -> ServiceError:
    if isinstance(error, google.PreconditionFailed):
        return WarehouseConflict(f"could not {what}: it has changed; read it again", name=table)
    text = f"could not {what}: it exists already"
    return AlreadyExists(text, reason="WAREHOUSE_REJECTED", name=table)


def _forbidden(error: BaseException, endpoint: str, what: str) -> WarehouseForbidden:
    if isinstance(error, google.Forbidden):
        text = f"BigQuery at {endpoint} did not allow this service account to {what}"
        return WarehouseForbidden(f"{text}: grant it the missing role", endpoint=endpoint)
    text = f"could not {what}: BigQuery at {endpoint} accepts no credentials of this process"
    return WarehouseForbidden(f"{text}: check its service account", endpoint=endpoint)


@contextlib.contextmanager
def calling(
    endpoint: str, name: str, what: str, *, table: str = "", **attributes: str | int
) -> Iterator[None]:
    """Trace the block as span `name` and turn a driver's exception into a kind.

    `what` completes "could not ...". An exception that is a kind already passes through.
    """
    with span(name, **({"table": table} if table else {}), **attributes):
        try:
            yield
        except _DRIVER as error:
            raise kind_of(error, endpoint, what, table=table) from error
