"""Whether a table that is there can take the rows of a schema, or what it lacks for that."""

from collections.abc import Sequence

from libs.bigquery.columns import Column
from libs.bigquery.ids import TableId
from services.orchestrator.warehouse.statements import LINEAGE_TYPES
from services.orchestrator.warehouse.warehouse import SchemaChanged


def compare(table: TableId, found: Sequence[Column], wanted: Sequence[Column]) -> list[Column]:
    """Return the columns to add.

    Raises:
        SchemaChanged: a column has another type or mode, or one to add is REQUIRED.
    """
    known = {column.name.lower(): column for column in found}
    for column in wanted:
        old = known.get(column.name.lower())
        if old is not None and (old.type, old.mode) != (column.type, column.mode):
            raise SchemaChanged(
                f"{table}: column {column.name} is {old.type} {old.mode}, the schema says "
                f"{column.type} {column.mode}; a column is never retyped: leave it as it is in the "
                "schema, name a new column, or publish to a new table",
                table=str(table),
                column=column.name,
                found=f"{old.type} {old.mode}",
                wanted=f"{column.type} {column.mode}",
            )
    return addable(table, [column for column in wanted if column.name.lower() not in known])


def addable(table: TableId, columns: Sequence[Column]) -> list[Column]:
    """Return columns that a table lacks; raise SchemaChanged for one that its rows cannot get."""
    for column in columns:
        if column.required:
            ways = "publish to a new table"
            if column.name not in LINEAGE_TYPES:
                ways = f"make it NULLABLE in the schema, or {ways}"
            raise SchemaChanged(
                f"{table}: it lacks column {column.name}, which is REQUIRED, and rows that are "
                f"there cannot get it: {ways}",
                table=str(table),
                column=column.name,
                found="none",
                wanted=f"{column.type} {column.mode}",
            )
    return list(columns)


def refuse_gone(table: TableId, gone: Sequence[Column]) -> None:
    """Raise SchemaChanged for a column that a table had when the run was planned, and has no more."""
    for column in gone:
        raise SchemaChanged(
            f"{table}: column {column.name} is gone since the run was staged; start another run, "
            "which adds it again, and discard this one",
            table=str(table),
            column=column.name,
            found="none",
            wanted=f"{column.type} {column.mode}",
        )
