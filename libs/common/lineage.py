"""Columns that the platform adds to a tenant's tables: where every row came from."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class PlatformColumn:
    """A column by BigQuery's name of its type and mode."""

    name: str
    type: str
    mode: str = "NULLABLE"


LINEAGE: Final = (
    PlatformColumn("_tenant_id", "STRING", "REQUIRED"),
    PlatformColumn("_pipeline_id", "STRING", "REQUIRED"),
    PlatformColumn("_run_id", "STRING", "REQUIRED"),
    PlatformColumn("_chunk_id", "STRING", "REQUIRED"),
    PlatformColumn("_row_number", "INT64", "REQUIRED"),
    PlatformColumn("_source", "STRING", "REQUIRED"),
    PlatformColumn("_snapshot", "INT64", "REQUIRED"),
    PlatformColumn("_ingested_at", "TIMESTAMP", "REQUIRED"),
    PlatformColumn("ingestion_date", "DATE", "REQUIRED"),
)
"""`_row_number` counts from 0 in the object or report window; `_source` names that object or window
as `Input.input_id` does; `_snapshot` is the journal position of the run's PLANNING record."""

ATTEMPT: Final = PlatformColumn("_attempt", "INT64", "REQUIRED")
"""Staging and quarantine only: number of the chunk's try that wrote the row."""

_QUARANTINE_HEAD: Final = (
    ATTEMPT,
    PlatformColumn("_scope", "STRING"),
    PlatformColumn("reasons", "STRING", "REPEATED"),
    PlatformColumn("raw_row", "STRING"),
)

MONEY_TYPES: Final = frozenset({"NUMERIC", "BIGNUMERIC"})


def base_type(type_: str) -> str:
    """Return a BigQuery type without its parameters: `NUMERIC(10,2)` is NUMERIC."""
    return type_.partition("(")[0].strip().upper()


VARIANT_SUFFIX: Final = "__v_text"


def variant_column(name: str) -> str:
    """Return the name of the NULLABLE STRING column that takes a column's misfits, as dlt names it."""
    return f"{name}{VARIANT_SUFFIX}"


def variants(
    declared: Iterable[PlatformColumn], fixed: Collection[str]
) -> tuple[PlatformColumn, ...]:
    """Return the variant columns of those that may evolve, in their order.

    Money does not, nor what is REQUIRED, what any text fits, and the columns in `fixed` (keys, scope).
    """
    return tuple(
        PlatformColumn(variant_column(column.name), "STRING")
        for column in declared
        if base_type(column.type) not in MONEY_TYPES
        and column.mode != "REQUIRED"
        and (column.type, column.mode) != ("STRING", "NULLABLE")
        and column.name not in fixed
    )


def staging_columns(declared: Sequence[PlatformColumn]) -> tuple[PlatformColumn, ...]:
    """Return the columns of a run's staging table: declared, lineage, `_attempt`."""
    return (*target_columns(declared), ATTEMPT)


def target_columns(declared: Sequence[PlatformColumn]) -> tuple[PlatformColumn, ...]:
    """Return the columns of a target table: declared, then lineage."""
    return (*declared, *LINEAGE)


def quarantine_columns(declared: Iterable[PlatformColumn]) -> tuple[PlatformColumn, ...]:
    """Return the columns of `{table}__quarantine`.

    `_scope` is the row's value of the scope's first column, NULL where it is unknown, and the run's
    one value of each further column, joined by `/`. `reasons` are
    sentences `{KIND} {column}: {what was found} {what is allowed}`. `raw_row` is the row as one JSON
    object of source texts. Each money column of the target stands twice: `{column}__text` as the
    source wrote it, and `{column}` as BIGNUMERIC, NULL where it is no number or does not fit.
    """
    money = [c for c in declared if base_type(c.type) in MONEY_TYPES and c.mode != "REPEATED"]
    pairs = [
        part
        for column in money
        for part in (
            PlatformColumn(column.name, "BIGNUMERIC"),
            PlatformColumn(f"{column.name}__text", "STRING"),
        )
    ]
    return (*LINEAGE, *_QUARANTINE_HEAD, *pairs)
