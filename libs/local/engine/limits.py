"""How much of the machine DuckDB takes; the rest of the mesh lives there too."""

from __future__ import annotations

import threading
import time

import duckdb
from bqemulator.storage.engine import DuckDBEngine

from libs.common import heap
from libs.common.memory import Memory

THREADS = 2
MEMORY_LIMIT = 700_000_000
"""Bytes for sorts, joins, and blocks that are kept at hand."""

MOST_HELD = Memory().limit_bytes() // 8
"""Bytes of tables in memory from which on they are written to the file, however short the log."""
STEP = 16 << 20
FEW_LOG, MANY_LOG = "16MB", "64MB"
"""How long the log may get while few tables, and while many, are to be written: DuckDB's own, and more."""
PAUSE_SECONDS = 0.25
HELD = "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'"


def duckdb_bounded() -> None:
    """Give DuckDB THREADS and MEMORY_LIMIT; stock takes every processor and most of the memory.

    Larger sorts and joins go through files. Rows come in no order unless a statement asks for one,
    as in BigQuery: storing them costs a fifth less. Rows of PENDING streams wait outside DuckDB.

    Every append connection has a thread, and handles blocks of MiB: with a heap for each they would
    keep some; returned one by one, half of the time that receiving takes would be the system's.
    """
    heap.few()
    apply = DuckDBEngine._apply_session_pragmas

    def apply_limits(self: DuckDBEngine) -> None:
        apply(self)
        self.connection.execute(f"SET threads = {THREADS}")
        self.connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}B'")
        self.connection.execute("SET preserve_insertion_order = false")
        self.connection.execute("SET write_buffer_row_group_count = 1")

    DuckDBEngine._apply_session_pragmas = apply_limits


def room_for_small_tables() -> None:
    """Let what new tables hold in memory come on top of MEMORY_LIMIT.

    Until DuckDB writes its log into the file, each new table holds 32 KiB of memory for each column of
    texts: a thousand tenants' tables would leave no statement any. Writing one takes it milliseconds
    for each column, in which nobody else writes: so where there are many, it waits for more of them.
    """
    apply = DuckDBEngine._apply_session_pragmas

    def apply_and_follow(self: DuckDBEngine) -> None:
        apply(self)
        cursor = self.connection.cursor()
        threading.Thread(target=_follow, args=(cursor,), daemon=True, name="room").start()

    DuckDBEngine._apply_session_pragmas = apply_and_follow


def _follow(cursor: duckdb.DuckDBPyConnection) -> None:
    """Set the limits by what tables hold, until the connection is closed."""
    steps = 0
    while True:
        time.sleep(PAUSE_SECONDS)
        try:
            steps = _followed(cursor, steps)
        except duckdb.ConnectionException:
            return
        except duckdb.Error:  # somebody writes, or the disk is full: again
            continue


def _followed(cursor: duckdb.DuckDBPyConnection, before: int) -> int:
    """Return how many STEPs tables hold now, and write them to the file where those are too many."""
    ((held,),) = cursor.execute(HELD).fetchall()
    steps = int(held) // STEP
    if steps != before:
        cursor.execute(f"SET memory_limit = '{MEMORY_LIMIT + steps * STEP}B'")
        cursor.execute(f"SET checkpoint_threshold = '{MANY_LOG if steps else FEW_LOG}'")
    if held > MOST_HELD:
        cursor.execute("CHECKPOINT")
    return steps
