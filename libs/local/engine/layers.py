"""What a REST request passes before it is answered: nothing that nobody reads."""

from __future__ import annotations

from bqemulator import server
from bqemulator.api.middleware import (
    AccessLogMiddleware,
    CorrelationIdMiddleware,
    MetricsMiddleware,
)
from fastapi import FastAPI

UNREAD = (AccessLogMiddleware, CorrelationIdMiddleware, MetricsMiddleware)


def requests_without_layers() -> None:
    """Answer requests without an access log, metrics and a correlation id around each.

    Stock starts a task and two channels for each of the three, which costs more than answering where
    a table is; the log is below the level that is written, and nobody reads the other two.
    """
    create = server.create_app

    def created(context: object) -> FastAPI:
        app = create(context)
        app.user_middleware = [one for one in app.user_middleware if one.cls not in UNREAD]
        return app

    server.create_app = created
