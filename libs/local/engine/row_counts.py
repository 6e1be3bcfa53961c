"""How many rows a table has is listed in memory, and counted when the engine starts."""

from __future__ import annotations

from typing import Any

from bqemulator import server
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.models import TableMeta
from bqemulator.storage.sql_identifiers import quoted_table_ref, schema_name

STORED = "SELECT schema_name, table_name FROM duckdb_tables()"


def row_counts_in_memory() -> None:
    """Write nothing of a table's entry when only its number of rows changes; count at the start.

    Stock writes the whole entry, all columns and descriptions, with every append and commit: of an
    append of a few rows that is most of the work.
    """
    write = DuckDBCatalogRepository.update_table
    hydrate = server.hydrate_subscriptions

    def update_table(self: DuckDBCatalogRepository, table: TableMeta) -> TableMeta:
        listed = self.get_table(table.project_id, table.dataset_id, table.table_id)
        if listed is None or listed.model_copy(update={"num_rows": table.num_rows}) != table:
            return write(self, table)
        return self._cache.update_table(table)

    def counted(context: Any) -> None:
        _count(context)
        hydrate(context)

    DuckDBCatalogRepository.update_table = update_table
    server.hydrate_subscriptions = counted


def _count(context: Any) -> None:
    stored = set(context.engine.execute(STORED).fetchall())
    for dataset in context.catalog.list_all_datasets():
        schema = schema_name(dataset.project_id, dataset.dataset_id)
        for table in context.catalog.list_tables(dataset.project_id, dataset.dataset_id):
            if (schema, table.table_id) in stored:
                place = quoted_table_ref(table.project_id, table.dataset_id, table.table_id)
                (count,) = context.engine.execute(f"SELECT COUNT(*) FROM {place}").fetchone()
                context.catalog.update_table(table.model_copy(update={"num_rows": count}))
