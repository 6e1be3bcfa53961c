"""How much of the machine DuckDB takes; the rest of the mesh lives there too."""

from __future__ import annotations

import ctypes

from bqemulator.storage.engine import DuckDBEngine

THREADS = 2
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt."""
MIB = 1024 * 1024
MEMORY_LIMIT = "700MB"


def duckdb_bounded() -> None:
    """Give DuckDB THREADS and MEMORY_LIMIT; stock takes every processor and most of the memory.

    Larger sorts and joins go through files. Rows come in no order unless a statement asks for one,
    as in BigQuery: storing them costs a fifth less. Rows of PENDING streams wait outside DuckDB.
    """
    _keep_little_memory()
    apply = DuckDBEngine._apply_session_pragmas

    def apply_limits(self: DuckDBEngine) -> None:
        apply(self)
        self.connection.execute(f"SET threads = {THREADS}")
        self.connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self.connection.execute("SET preserve_insertion_order = false")
        self.connection.execute("SET write_buffer_row_group_count = 1")

    DuckDBEngine._apply_session_pragmas = apply_limits


def _keep_little_memory() -> None:
    """Let the C library keep 64 MiB of what is freed, and not some for each thread.

    Every append connection has a thread, and handles blocks of MiB: returned one by one, half of
    the time that receiving takes would be the system's. Without glibc nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 * MIB)
        mallopt(M_TRIM_THRESHOLD, 64 * MIB)
        mallopt(M_ARENA_MAX, 2)
