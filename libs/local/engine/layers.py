"""What a REST request passes before it is answered: nothing that nobody reads."""

from __future__ import annotations

from bqemulator.api.middleware import (
    AccessLogMiddleware,
    CorrelationIdMiddleware,
    MetricsMiddleware,
)
from fastapi import FastAPI

from libs.local.engine.apps import change_app

UNREAD = (AccessLogMiddleware, CorrelationIdMiddleware, MetricsMiddleware)


def requests_without_layers() -> None:
    """Answer requests without an access log, metrics and a correlation id around each.

    Stock starts a task and two channels for each of the three, which costs more than answering where
    a table is; the log is below the level that is written, and nobody reads the other two.
    """
    change_app(_leave_out)


def _leave_out(app: FastAPI) -> None:
    app.user_middleware = [one for one in app.user_middleware if one.cls not in UNREAD]
