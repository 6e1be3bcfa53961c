"""The REST server's application, changed after it was made."""

from __future__ import annotations

from collections.abc import Callable

from bqemulator import server
from fastapi import FastAPI


def change_app(change: Callable[[FastAPI], None]) -> None:
    """Have `change` called with the application that answers REST requests, after all before it."""
    create = server.create_app

    def created(context: object) -> FastAPI:
        app = create(context)
        change(app)
        return app

    server.create_app = created
