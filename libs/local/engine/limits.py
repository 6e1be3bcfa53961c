"""How much of the machine DuckDB takes; the rest of the mesh lives there too."""

from __future__ import annotations

from bqemulator.storage.engine import DuckDBEngine

from libs.common import heap

THREADS = 2
MEMORY_LIMIT = "700MB"


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
        self.connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self.connection.execute("SET preserve_insertion_order = false")
        self.connection.execute("SET write_buffer_row_group_count = 1")

    DuckDBEngine._apply_session_pragmas = apply_limits
