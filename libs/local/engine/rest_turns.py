"""Which appends wait for a change that REST asks for: those to its table."""

from __future__ import annotations

import re

from bqemulator import server
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.local.engine.sessions import asked
from libs.local.engine.turns import Concerns

_MADE = re.compile(r".*/projects/[^/]+/datasets(/[^/]+/tables)?/?")
_TABLE = re.compile(r".*/datasets/([^/]+)/tables/([^/]+)/?")


def rest_changes_in_their_place() -> None:
    """Let appends go on beside a request that changes another table, or makes one.

    With one writer, each table that is made or dropped, two or three a run, would stop all appends,
    the journal's first of all, from its statement to its entry in the catalog.
    """
    create = server.create_app

    def created(context: object) -> FastAPI:
        app = create(context)
        app.add_middleware(_InPlace)
        return app

    server.create_app = created


class _InPlace:
    """Says what a request's change concerns, for the time that it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        concerns = of_request(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if concerns is None:
            await self._app(scope, receive, send)
            return
        before = asked.set(concerns)
        try:
            await self._app(scope, receive, send)
        finally:
            asked.reset(before)


def of_request(method: str, path: str) -> Concerns | None:
    """Return which tables' appends a request's change has to do with; None for all of them.

    To what is only being made nobody appends yet.
    """
    if method == "POST" and _MADE.fullmatch(path):
        return lambda _: False
    if method in ("DELETE", "PATCH", "PUT") and (named := _TABLE.fullmatch(path)):
        place = f".{named[1]}.{named[2]}".lower()
        return lambda table: table.lower().endswith(place)
    return None
