"""How much of the machine DuckDB takes; the rest of the mesh lives there too."""

from __future__ import annotations

import ctypes

from bqemulator.storage.engine import DuckDBEngine

THREADS = 2
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Parameters of glibc's mallopt."""
MEMORY_LIMIT = "700MB"


def duckdb_bounded() -> None:
    """Give DuckDB THREADS and MEMORY_LIMIT; stock takes every processor and most of the memory.

    Larger sorts and joins go through files. Rows come in no order unless a statement asks for one,
    as in BigQuery: storing them costs a fifth less. Rows of PENDING streams wait outside DuckDB.
    """
    _give_memory_back()
    apply = DuckDBEngine._apply_session_pragmas

    def apply_limits(self: DuckDBEngine) -> None:
        apply(self)
        self.connection.execute(f"SET threads = {THREADS}")
        self.connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self.connection.execute("SET preserve_insertion_order = false")
        self.connection.execute("SET write_buffer_row_group_count = 1")

    DuckDBEngine._apply_session_pragmas = apply_limits


def _give_memory_back() -> None:
    """Let the C library return large blocks when they are freed, and not keep some for each thread.

    Every append connection has a thread, and handles blocks of MiB. Without glibc nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1024 * 1024)
        mallopt(M_ARENA_MAX, 2)
