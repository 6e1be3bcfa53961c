"""The format of DuckDB's file."""

from __future__ import annotations

from pathlib import Path

import duckdb
from bqemulator.storage.engine import DuckDBEngine


def newest_storage_format() -> None:
    """Make a new file in the newest format that DuckDB knows; one that is there keeps its own.

    Stock makes files that DuckDB 1.0 can read: texts are then tried both as a dictionary and as
    FSST, a third of what it costs to store rows. From 1.3 on DICT_FSST is both at once.
    """
    resolve = DuckDBEngine._resolve_path

    def made(self: DuckDBEngine) -> str:
        path = resolve(self)
        if path != ":memory:" and not Path(path).exists():
            duckdb.connect(path, config={"storage_compatibility_version": "latest"}).close()
        return path

    DuckDBEngine._resolve_path = made
