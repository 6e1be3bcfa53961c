"""Tables and the catalog's entries of them agree after a crash, too."""

from __future__ import annotations

import collections
from typing import Any

from bqemulator import server
from bqemulator.catalog.ddl_sync import sync_created_table
from bqemulator.storage.sql_identifiers import quoted_schema, schema_name

STORED = "SELECT table_schema, table_name, table_type FROM information_schema.tables"


def halves_mended() -> None:
    """When the engine starts, finish what a crash cut in two.

    Stock writes a table and its entry one after the other. A table without an entry can then be
    neither found nor made again; of an entry without a table nothing works but its name.
    """
    hydrate = server.hydrate_subscriptions

    def mended(context: Any) -> None:
        _mend(context)
        hydrate(context)

    server.hydrate_subscriptions = mended


def _mend(context: Any) -> None:
    stored: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for schema, name, kind in context.engine.execute(STORED).fetchall():
        stored[schema][name] = kind
    for dataset in context.catalog.list_all_datasets():
        place = (dataset.project_id, dataset.dataset_id)
        context.engine.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted_schema(*place)}")
        listed = {table.table_id for table in context.catalog.list_tables(*place)}
        there = stored[schema_name(*place)]
        for name in listed - set(there):
            context.catalog.delete_table(*place, name, not_found_ok=True)
        for name in set(there) - listed:
            if there[name] == "BASE TABLE":
                _list(place, name, context)


def _list(place: tuple[str, str], name: str, context: Any) -> None:
    """Make an entry, with the columns that the table has."""
    project, dataset = place
    sync_created_table(f"CREATE TABLE `{project}.{dataset}.{name}` (c INT64)", project, context)
