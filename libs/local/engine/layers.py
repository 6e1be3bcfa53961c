"""What a REST request passes before it is answered: nothing that nobody reads."""

from __future__ import annotations

from bqemulator.api import app as emulator
from starlette.types import ASGIApp, Receive, Scope, Send


def requests_without_layers() -> None:
    """Answer requests without an access log, metrics and a correlation id around each.

    Stock starts a task and two channels for each of the three, which costs more than answering where
    a table is; the log is below the level that is written, and nobody reads the other two.
    """
    for name in ("MetricsMiddleware", "AccessLogMiddleware", "CorrelationIdMiddleware"):
        setattr(emulator, name, _Through)


class _Through:
    """Hands a request on as it is."""

    def __init__(self, app: ASGIApp, **_: object) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
