"""DuckDB connections: one per thread, and one writer at a time."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TypeVar

import duckdb
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.domain.errors import InternalError
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.storage.engine import DuckDBEngine

from libs.local.engine.turns import Concerns, Turns, every_table

T = TypeVar("T")

asked: ContextVar[Concerns] = ContextVar("asked", default=every_table)
"""Which tables' appends the change has to do with that a REST request asks for."""


def cursor_per_thread() -> None:
    """Give every worker thread its own cursor; the thread that opened the engine keeps the connection.

    Stock shares one connection between its event loop and its append threads: they deadlock, and
    one query's rows are handed to another.
    """
    local = threading.local()
    start = DuckDBEngine.start

    async def start_and_own(self: DuckDBEngine) -> None:
        self._owner = threading.get_ident()
        await start(self)

    def connection(self: DuckDBEngine) -> duckdb.DuckDBPyConnection:
        base = self._connection
        if base is None:
            raise InternalError("DuckDBEngine not started")
        if threading.get_ident() == self._owner:
            return base
        if getattr(local, "base", None) is not base:
            local.base, local.cursor = base, base.cursor()
            local.cursor.execute("SET TimeZone = 'UTC'")
        return local.cursor

    DuckDBEngine.start = start_and_own
    DuckDBEngine.connection = property(connection)


def one_writer() -> None:
    """Let what changes one table happen one after another, so that neither fails on the other's change.

    Appends to other tables go on beside a commit or a statement. Stock holds two locks that do not
    know of each other; with a cursor per thread their transactions conflict (on the catalog's row
    counts, and on tables being altered), and what a failed commit restores overwrites a table's
    newer schema.
    """
    lock = DuckDBEngine.writing = Turns()
    for catalog in (MemoryCatalogRepository, DuckDBCatalogRepository):
        catalog.update_table = _holding(lock, catalog.update_table)
    initialize = BigQueryWriteHandler.__init__
    execute = DuckDBEngine.execute

    def share_lock(self: BigQueryWriteHandler, *args: object, **kwargs: object) -> None:
        initialize(self, *args, **kwargs)
        self._write_lock = lock

    @asynccontextmanager
    async def write_lock(self: DuckDBEngine) -> AsyncIterator[None]:
        async with self._write_lock:
            with lock.change(asked.get()):
                yield

    def execute_alone(
        self: DuckDBEngine, sql: str, values: list[object] | None = None
    ) -> duckdb.DuckDBPyConnection:
        if _reads(sql):
            return execute(self, sql, values)
        with lock:
            return execute(self, sql, values)

    BigQueryWriteHandler.__init__ = share_lock
    DuckDBEngine.execute = execute_alone
    DuckDBEngine.write_lock = write_lock


def _holding(lock: Turns, call: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(call)
    def alone(*args: object) -> T:
        with lock:
            return call(*args)

    return alone


def _reads(sql: str) -> bool:
    return sql.lstrip(" (\n\t")[:6].upper().startswith(("SELECT", "WITH"))
