"""DuckDB's spatial extension from the installed package; nothing is fetched from a network."""

from __future__ import annotations

import importlib.resources

import duckdb
from bqemulator.storage.engine import DuckDBEngine

from libs.local.engine.refusal import Refused


def spatial_from_package() -> None:
    """Load the extension's file where the package manager put it; stock downloads it."""

    def load(self: DuckDBEngine) -> None:
        self.connection.execute("SET autoinstall_known_extensions = false")
        self.connection.load_extension(_extension_file())

    DuckDBEngine._load_spatial = load


def _extension_file() -> str:
    package = importlib.resources.files("duckdb_extension_spatial")
    file = package / "extensions" / f"v{duckdb.__version__}" / "spatial.duckdb_extension"
    if not file.is_file():
        raise Refused(
            f"duckdb-extension-spatial has no extension for DuckDB {duckdb.__version__}: "
            "install libs/local/engine/requirements.lock into .venvs/engine"
        )
    return str(file)
