"""Spans around calls to BigQuery. They carry names and reasons, never driver text or rows."""

import contextlib
from collections.abc import Iterator

from opentelemetry import trace

from libs.common.errors import ServiceError

_TRACER = trace.get_tracer("convergence.bigquery")


@contextlib.contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """Trace the block as one client call; a failure sets the span's status to its reason."""
    with _TRACER.start_as_current_span(
        name,
        kind=trace.SpanKind.CLIENT,
        attributes={"db.system.name": "gcp.bigquery", **attributes},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except BaseException as error:
            cause = error.reason if isinstance(error, ServiceError) else type(error).__name__
            current.set_status(trace.Status(trace.StatusCode.ERROR, cause))
            raise
