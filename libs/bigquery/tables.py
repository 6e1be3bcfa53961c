"""Tables: making them once, reading their columns, adding columns, dropping them."""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from google.api_core import exceptions
from google.cloud import bigquery

from libs.bigquery.client import BigQuery, rest_retry
from libs.bigquery.columns import Column, arrow_schema, arrow_type
from libs.bigquery.deadline import Deadline
from libs.bigquery.failures import TableNotFound, calling
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.jobs import query

__all__ = [
    "Column",
    "DatasetId",
    "EnsuredTable",
    "TableFacts",
    "TableId",
    "add_columns",
    "arrow_schema",
    "arrow_type",
    "drop_table",
    "ensure_table",
    "get_columns",
    "get_table",
    "list_tables",
    "set_expiration",
]

TIMEOUT: Final = 30.0
"""Seconds that a call about datasets and tables may take unless told otherwise."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What BigQuery says about a table."""

    table: TableId
    columns: tuple[Column, ...]
    partition_by: str
    cluster_by: tuple[str, ...]
    labels: Mapping[str, str]
    expires_at: dt.datetime | None
    row_count: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnsuredTable:
    """A table that exists: whether this call made it, and the columns that it has."""

    created: bool
    columns: tuple[Column, ...]


def ensure_table(
    bq: BigQuery,
    table: TableId,
    columns: Sequence[Column],
    *,
    partition_by: str = "",
    cluster_by: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    expires_at: dt.datetime | None = None,
    timeout: float = TIMEOUT,
) -> EnsuredTable:
    """Make `table` unless it exists; an existing one is left as it is.

    Args:
        bq: Where.
        table: What to make. Its dataset must exist, else TableNotFound.
        columns: The new table's columns; compare with those of the answer.
        partition_by: A DATE or TIMESTAMP column for daily partitions, empty for none.
        cluster_by: At most four columns.
        labels: The table's labels.
        expires_at: When BigQuery drops it, aware; None for never.
        timeout: Seconds for everything.
    """
    limit = Deadline(timeout)
    with contextlib.suppress(TableNotFound):
        return EnsuredTable(created=False, columns=get_columns(bq, table, timeout=limit.left()))
    wanted = bigquery.Table(str(table), schema=[c.to_field() for c in columns])
    if partition_by:
        wanted.time_partitioning = bigquery.TimePartitioning(type_="DAY", field=partition_by)
    wanted.clustering_fields = list(cluster_by) or None
    wanted.labels = dict(labels or {})
    wanted.expires = expires_at
    what = f"create table {table}"
    with calling(bq.endpoint, "bigquery.create_table", what, table=str(table)):
        try:
            bq.rest.create_table(wanted, retry=rest_retry(limit.left()), timeout=limit.left())
        except exceptions.Conflict:
            return EnsuredTable(created=False, columns=get_columns(bq, table, timeout=limit.left()))
    return EnsuredTable(created=True, columns=tuple(columns))


def get_table(bq: BigQuery, table: TableId, *, timeout: float = TIMEOUT) -> TableFacts:
    """Return what is known of `table`; raise TableNotFound."""
    with calling(bq.endpoint, "bigquery.get_table", f"read table {table}", table=str(table)):
        try:
            found = bq.rest.get_table(str(table), retry=rest_retry(timeout), timeout=timeout)
        except exceptions.Forbidden as error:
            text = f"table {table} does not exist, or this service account may not read it"
            raise TableNotFound(text, table=str(table)) from error
    partitioning = found.time_partitioning
    return TableFacts(
        table=table,
        columns=tuple(Column.from_field(field) for field in found.schema),
        partition_by=(partitioning.field or "") if partitioning else "",
        cluster_by=tuple(found.clustering_fields or ()),
        labels=dict(found.labels),
        expires_at=found.expires,
        row_count=found.num_rows,
    )


def get_columns(bq: BigQuery, table: TableId, *, timeout: float = TIMEOUT) -> tuple[Column, ...]:
    """Return the columns of `table` in its order; raise TableNotFound."""
    return get_table(bq, table, timeout=timeout).columns


def add_columns(
    bq: BigQuery, table: TableId, columns: Sequence[Column], *, timeout: float = TIMEOUT
) -> tuple[Column, ...]:
    """Add those of `columns` that `table` lacks and return all its columns; safe to repeat.

    A column that exists with another type is left as it is: compare with the answer. New columns
    cannot be REQUIRED, else ValueError. No stream may be open on the table meanwhile.
    """
    if required := [column.name for column in columns if column.required]:
        raise ValueError(f"{', '.join(required)}: a column added to a table cannot be REQUIRED")
    limit = Deadline(timeout)
    known = {column.name.lower() for column in get_columns(bq, table, timeout=limit.left())}
    for column in columns:
        clause = f"ADD COLUMN IF NOT EXISTS `{column.name}` {column.sql_type}"
        query(bq, f"ALTER TABLE {table.sql} {clause}", timeout=limit.left())
    if all(column.name.lower() in known for column in columns):
        return get_columns(bq, table, timeout=limit.left())
    what = f"add columns to {table}"
    with calling(bq.endpoint, "bigquery.update_table", what, table=str(table)):
        found = bq.rest.get_table(str(table), retry=rest_retry(limit.left()), timeout=limit.left())
        listed = {field.name.lower() for field in found.schema}
        if missing := [c.to_field() for c in columns if c.name.lower() not in listed]:
            found.schema = [*found.schema, *missing]
            found = bq.rest.update_table(
                found, ["schema"], retry=rest_retry(limit.left()), timeout=limit.left()
            )
    return tuple(Column.from_field(field) for field in found.schema)


def set_expiration(
    bq: BigQuery,
    table: TableId,
    expires_at: dt.datetime | None,
    *,
    timeout: float = TIMEOUT,
) -> None:
    """Have BigQuery drop `table` at `expires_at` (aware), or never. The embedded engine says so and drops nothing."""
    wanted = bigquery.Table(str(table))
    wanted.expires = expires_at
    what = f"set the expiration of {table}"
    with calling(bq.endpoint, "bigquery.update_table", what, table=str(table)):
        bq.rest.update_table(wanted, ["expires"], retry=rest_retry(timeout), timeout=timeout)


def drop_table(bq: BigQuery, table: TableId, *, timeout: float = TIMEOUT) -> None:
    """Drop `table` with its rows; a missing one is fine."""
    with calling(bq.endpoint, "bigquery.delete_table", f"drop table {table}", table=str(table)):
        bq.rest.delete_table(
            str(table), retry=rest_retry(timeout), timeout=timeout, not_found_ok=True
        )


def list_tables(
    bq: BigQuery, dataset: DatasetId, *, timeout: float = TIMEOUT
) -> tuple[TableId, ...]:
    """Return the tables of `dataset` in order of name; none when the dataset is missing."""
    retry = rest_retry(timeout)
    with calling(bq.endpoint, "bigquery.list_tables", f"list the tables of {dataset}"):
        try:
            found = list(bq.rest.list_tables(str(dataset), retry=retry, timeout=timeout))
        except exceptions.NotFound:
            return ()
    return tuple(sorted(dataset.table(item.table_id) for item in found))
