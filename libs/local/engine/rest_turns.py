"""Which appends wait for a table that REST makes or drops: those to that table."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from libs.local.engine.apps import change_app
from libs.local.engine.sessions import asked
from libs.local.engine.turns import of_request


def rest_changes_in_their_place() -> None:
    """Let appends go on beside a request that makes a table, or drops another one.

    With one writer, each table that is made or dropped, two or three a run, would stop all appends,
    the journal's first of all, from its statement to its entry in the catalog.
    """
    change_app(lambda app: app.add_middleware(_InPlace))


class _InPlace:
    """Says what a request's change concerns, for the time that it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        before = asked.set(of_request(scope["method"], scope["path"]))
        try:
            await self._app(scope, receive, send)
        finally:
            asked.reset(before)
