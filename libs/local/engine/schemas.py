"""Where a table may be made, and the schema that one made by SQL is listed with."""

from __future__ import annotations

import re
from typing import Any

from bqemulator import server
from bqemulator.api.routes import tables
from bqemulator.catalog import ddl_sync
from bqemulator.catalog.models import TableSchema
from bqemulator.domain.errors import ResourceRef, resource_not_found
from bqemulator.storage.sql_identifiers import quoted_table_ref


def tables_in_datasets() -> None:
    """Answer 404 to a table of a dataset that is not there; stock answers 500 and cuts the connection."""
    create = server.create_app

    def created(context: Any) -> Any:
        read = tables._rest_to_table_meta

        def of_dataset(project: str, dataset: str, *rest: Any) -> Any:
            if context.catalog.get_dataset(project, dataset) is None:
                raise resource_not_found(ResourceRef("dataset", project, dataset))
            return read(project, dataset, *rest)

        tables._rest_to_table_meta = of_dataset
        return create(context)

    server.create_app = created


def schema_of_sql_tables() -> None:
    """List BIGNUMERIC and JSON columns of tables made by DDL or CTAS as what they are.

    Stock reads the schema through Arrow, where JSON is text and every decimal is NUMERIC.
    """
    introspect = ddl_sync._introspect_schema

    def introspected(project: str, dataset: str, table: str, ctx: Any) -> TableSchema:
        schema = introspect(project, dataset, table, ctx)
        target = quoted_table_ref(project, dataset, table)
        rows = ctx.engine.execute(f"DESCRIBE {target}").fetchall()
        exact = {name: _exact(duckdb_type) for name, duckdb_type, *_ in rows}
        fields = (
            field.model_copy(update={"type": exact[field.name] or field.type})
            for field in schema.fields
        )
        return TableSchema(fields=tuple(fields))

    ddl_sync._introspect_schema = introspected


def _exact(duckdb_type: str) -> str | None:
    """Return the BigQuery type that Arrow would hide, or None."""
    element = duckdb_type.upper().removesuffix("[]")
    if element == "JSON":
        return "JSON"
    decimal = re.fullmatch(r"DECIMAL\(\d+, ?(\d+)\)", element)
    return "BIGNUMERIC" if decimal and int(decimal[1]) > 9 else None
