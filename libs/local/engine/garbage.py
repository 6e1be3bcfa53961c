"""When the engine looks for cyclic garbage: when a request has been answered."""

from __future__ import annotations

import gc

from starlette.types import ASGIApp, Receive, Scope, Send

from libs.local.engine import parsing
from libs.local.engine.apps import change_app

MUCH = 1_000
"""Objects more than at the last look, from which on it is worth another."""
MOST = (50_000, 20, 50)
"""Objects more, at which Python looks by itself, in the midst of a statement; looks at the young after
which it looks at the middle-aged; and looks at those after which it looks at all that lives."""


def garbage_between_requests() -> None:
    """Free the trees of a statement when it has been answered.

    Each node of a syntax tree knows its parent, so only Python's collector frees it. Stock lets that
    look while trees of a statement live: they are taken for what stays, and so many of them that it
    looks at all that lives every second or so. Nobody is answered meanwhile, the longer the more
    datasets there are.
    """
    gc.set_threshold(*MOST)
    change_app(lambda app: app.add_middleware(_Tidied))


class _Tidied:
    """Frees what a request has left, once it has been answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            _tidy()


def _tidy() -> None:
    young, middle, old = gc.get_count()
    if young < MUCH:
        return
    parsing.forget()
    _, many, most = MOST
    gc.collect(0 if middle < many else 1 if old < most else 2)
