"""The SQL of audit, publishing and transforms. Pure: from specs and literals to GoogleSQL text.

Every statement is one job, names its columns, carries partitions as literals and may be repeated:
a repeat finds its own rows by (`_run_id`, `_chunk_id`, `_row_number`) and changes nothing.
"""

import dataclasses
import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from libs.common.lineage import LINEAGE, MONEY_TYPES, PlatformColumn, base_type, target_columns
from services.orchestrator.runs.ledger import values
from services.orchestrator.runs.records import Scope
from services.orchestrator.specs import ColumnSpec, PipelineSpec

TYPED_LITERALS: Final = frozenset({"DATE", "DATETIME", "TIMESTAMP", "TIME"})
LINEAGE_TYPES: Final = {column.name: column.type for column in LINEAGE}


def name(column: str) -> str:
    """Quote a column's name."""
    return f"`{column}`"


def text(value: str) -> str:
    """Return a STRING literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return "'" + escaped.replace("\r", "\\r") + "'"


def literal(value: str, type_: str) -> str:
    """Return `value` as a literal of a BigQuery type, e.g. `DATE '2026-11-20'`."""
    base = base_type(type_)
    if base in TYPED_LITERALS:
        return f"{base} {text(value)}"
    if base == "STRING":
        return text(value)
    return f"CAST({text(value)} AS {base})"


def one_of(column: str, values: Iterable[str], type_: str) -> str:
    """Return `column IN (literals)`; FALSE for no values."""
    literals = ", ".join(literal(value, type_) for value in values)
    return f"{column} IN ({literals})" if literals else "FALSE"


def money_columns(columns: Sequence[ColumnSpec]) -> tuple[str, ...]:
    """Return the names of the decimal columns, in schema order."""
    return tuple(
        c.name for c in columns if base_type(c.type) in MONEY_TYPES and c.mode != "REPEATED"
    )


def column_type(spec: PipelineSpec, column: str) -> str:
    """Return the type of a declared or lineage column of the target."""
    declared = {c.name: c.type for c in spec.columns}
    return declared.get(column) or LINEAGE_TYPES[column]


def sums(money: Sequence[str | None]) -> str:
    """Return the columns m0, m1 and so on: exact sums, 0 for no rows; each begins with a comma.

    None stands for a column that the table does not have: its sum is 0.
    """
    return "".join(
        f", {_sum(column) if column is not None else 0} AS m{i}" for i, column in enumerate(money)
    )


def _sum(column: str) -> str:
    return f"COALESCE(SUM(CAST({name(column)} AS BIGNUMERIC)), 0)"


def chunk_counts(staging: str, money: Sequence[str]) -> str:
    """Rows and sums per chunk and attempt: chunk_id, attempt, row_count, m0, m1 and so on."""
    return (
        "SELECT _chunk_id AS chunk_id, _attempt AS attempt, COUNT(*) AS row_count"
        f"{sums(money)} FROM {staging} GROUP BY _chunk_id, _attempt"
    )


def scope_counts(
    table: str, where: str, column: str, type_: str, money: Sequence[str | None]
) -> str:
    """Rows and sums per value of a scope's first column: scope_value (text), row_count, m0 and so on.

    A TIMESTAMP, which is midnight UTC there, is written as scopes write it.
    """
    value = f"CAST({name(column)} AS STRING)"
    if base_type(type_) == "TIMESTAMP":
        value = f"CONCAT(CAST(DATE({name(column)}) AS STRING), ' 00:00:00')"
    return (
        f"SELECT {value} AS scope_value, COUNT(*) AS row_count"
        f"{sums(money)} FROM {table} WHERE {where} GROUP BY 1"
    )


def quarantine_counts(table: str, run: str) -> str:
    """Count a run's quarantined rows by (chunk, attempt)."""
    return (
        f"SELECT _chunk_id AS chunk_id, _attempt AS attempt, COUNT(*) AS row_count FROM {table}"
        f" WHERE _run_id = {text(run)} GROUP BY chunk_id, attempt"
    )


def delete_strays(
    table: str, named: Iterable[tuple[str, int]], *, below: int, run: str = ""
) -> str:
    """Delete rows whose (chunk, attempt) the journal does not name; only those of `run` if given.

    Attempts from `below` on stay.
    """
    keys = ", ".join(text(f"{chunk}/{attempt}") for chunk, attempt in named)
    key = "CONCAT(_chunk_id, '/', CAST(_attempt AS STRING))"
    own = f"_attempt < {below}" + (f" AND _run_id = {text(run)}" if run else "")
    return f"DELETE FROM {table} WHERE {own}" + (f" AND {key} NOT IN ({keys})" if keys else "")


def in_scope(spec: PipelineSpec, scope: Scope) -> str:
    """Condition on the target's rows that a `replace` of `scope` owns."""
    return " AND ".join([f"_pipeline_id = {text(spec.pipeline)}", *inside(spec, scope)])


def inside(spec: PipelineSpec, scope: Scope, alias: str = "") -> list[str]:
    """Return one condition for each column of a scope."""
    return [
        one_of(f"{alias}{name(column)}", vals, column_type(spec, column)) for column, vals in scope
    ]


def partition_day(value: str, type_: str) -> str:
    """Return the DATE of the daily partition that a value of the partition column is in."""
    return value if base_type(type_) == "DATE" else f"DATE({value})"


def partitions(table: str, column: str, type_: str, where: str) -> str:
    """Distinct daily partitions, as `YYYY-MM-DD`: partition_day. NULL stands for the NULL partition."""
    day = partition_day(name(column), type_)
    return f"SELECT DISTINCT CAST({day} AS STRING) AS partition_day FROM {table} WHERE {where}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What one publishing statement does."""

    target: str
    staging: str
    scope: Scope = ()
    """`replace`: the values to publish, which are also those to delete."""
    without: tuple[str, ...] = ()
    """`append`: inputs whose staged rows are left out."""
    reloaded: tuple[str, ...] = ()
    """`append` with reload: inputs whose older rows are deleted."""
    partitions: tuple[str | None, ...] = ()
    """Days of the partitions that old and new rows are in; None is the NULL partition."""
    attempts: tuple[int, ...] | None = None
    """Tries whose staged rows count; None where all of them do."""


def publish(spec: PipelineSpec, what: Publishing) -> str:
    """One MERGE that makes the staged rows visible and removes what they replace."""
    columns = [c.name for c in target_columns([c.platform() for c in spec.columns])]
    source = f"SELECT {column_list(columns)} FROM {what.staging}"
    wanted = inside(spec, what.scope)
    if what.attempts is not None:
        wanted.append(tried(what.attempts))
    if what.without:
        wanted.append(f"NOT {one_of('_source', what.without, 'STRING')}")
    if wanted:
        source += " WHERE " + " AND ".join(wanted)
    pruned_ = pruned(spec, what.partitions)
    return _merge(
        target=what.target,
        source=source,
        keys=("_run_id", "_chunk_id", "_row_number"),
        pruned=pruned_,
        delete=_owned(spec, what),
        columns=columns,
    )


def tried(attempts: Sequence[int]) -> str:
    """Condition on staged rows: one of these tries has written them."""
    return f"_attempt IN ({', '.join(map(str, attempts))})" if attempts else "FALSE"


def _owned(spec: PipelineSpec, what: Publishing) -> str:
    owned = f"t._pipeline_id = {text(spec.pipeline)}"
    if what.scope:
        return " AND ".join([owned, *inside(spec, what.scope, "t.")])
    if what.reloaded:
        return f"{owned} AND {one_of('t._source', what.reloaded, 'STRING')}"
    return ""


def pruned(spec: PipelineSpec, days: Sequence[str | None]) -> str:
    """Condition on the target's partition column that holds in `days` only, for pruning."""
    column = f"t.{name(spec.target.partition_by)}"
    type_ = base_type(column_type(spec, spec.target.partition_by))
    known = [day for day in days if day is not None]
    terms = [] if days else ["FALSE"]
    if known and type_ == "DATE":
        terms = [one_of(column, known, type_)]
    elif known:
        terms = [
            f"{column} >= {type_} '{first}' AND {column} < {type_} '{after}'"
            for first, after in _spans(known)
        ]
    if None in days:
        terms.append(f"{column} IS NULL")
    return terms[0] if len(terms) == 1 else "(" + " OR ".join(terms) + ")"


def _spans(days: Iterable[str]) -> Iterator[tuple[dt.date, dt.date]]:
    """Return days that follow one another as pairs (first, day after the last)."""
    found = sorted({dt.date.fromisoformat(day) for day in days})
    for _, run in itertools.groupby(enumerate(found), lambda at: at[1].toordinal() - at[0]):
        span = [day for _, day in run]
        yield span[0], span[-1] + dt.timedelta(days=1)


def _merge(
    *,
    target: str,
    source: str,
    keys: Sequence[str],
    pruned: str,
    delete: str,
    columns: Sequence[str],
) -> str:
    prune = f" AND {pruned}" if pruned else ""
    on = " AND ".join(f"t.{key} = s.{key}" for key in keys) + prune
    removal = f" WHEN NOT MATCHED BY SOURCE AND {delete}{prune} THEN DELETE" if delete else ""
    values = ", ".join(f"s.{name(column)}" for column in columns)
    return (
        f"MERGE {target} t USING ({source}) s ON {on}{removal}"
        f" WHEN NOT MATCHED BY TARGET THEN INSERT ({column_list(columns)}) VALUES ({values})"
    )


def column_list(columns: Iterable[str]) -> str:
    """Return names, quoted and in order."""
    return ", ".join(name(column) for column in columns)


def delete_quarantine(table: str, spec: PipelineSpec, snapshot: int, scope: Scope) -> str:
    """Delete quarantined rows of looks older than `snapshot` at scope values now published."""
    vals = ["/".join(combination) for combination in values(scope)]
    return (
        f"DELETE FROM {table} WHERE _pipeline_id = {text(spec.pipeline)} AND _snapshot < {snapshot}"
        f" AND {one_of('_scope', vals, 'STRING')}"
    )


def delete_own_quarantine(table: str, run: str) -> str:
    """Delete the quarantined rows of a run that ended without publishing."""
    return f"DELETE FROM {table} WHERE _run_id = {text(run)}"


SILVER_LINEAGE: Final = (
    PlatformColumn("_tenant_id", "STRING"),
    PlatformColumn("_pipeline_id", "STRING"),
    PlatformColumn("_transform", "STRING"),
    PlatformColumn("_run_id", "STRING"),
    PlatformColumn("_attempt", "INT64"),
    PlatformColumn("_row_number", "INT64"),
    PlatformColumn("_ingested_at", "TIMESTAMP"),
    PlatformColumn("ingestion_date", "DATE"),
)
"""Columns that a transform's target has beside those of its SELECT."""


def stage_transform(
    staging: str,
    select: str,
    facts: dict[str, str],
    *,
    attempt: int,
    ingest_time: str,
    expire_time: str,
) -> str:
    """CREATE TABLE AS the transform's SELECT with lineage.

    Args:
        staging: Quoted table.
        select: The transform, with its `@scope` parameters.
        facts: The STRING lineage columns and their values.
        attempt: Attempt of the run.
        ingest_time: TIMESTAMP text, UTC.
        expire_time: TIMESTAMP text, UTC: when BigQuery drops the table by itself.
    """
    constants = ", ".join(f"{text(value)} AS {name(column)}" for column, value in facts.items())
    body = select.strip().rstrip(";")
    return (
        f"CREATE OR REPLACE TABLE {staging} "
        f"OPTIONS (expiration_timestamp = TIMESTAMP {text(expire_time)}) AS "
        f"SELECT result.*, {constants}, {attempt} AS _attempt, "
        f"ROW_NUMBER() OVER () - 1 AS _row_number, "
        f"TIMESTAMP {text(ingest_time)} AS _ingested_at, "
        f"DATE {text(ingest_time[:10])} AS ingestion_date FROM (\n{body}\n) AS result"
    )


def transform_member(column: str, column_type_: str, scope_type: str, values: Sequence[str]) -> str:
    """Condition: a target column lies in scope values; TIMESTAMP against DATE compares UTC days."""
    inner = f"DATE({column})" if base_type(column_type_) != base_type(scope_type) else column
    return one_of(inner, values, scope_type)


def count_outside(staging: str, inside: str) -> str:
    """Rows of a staged transform, and how many lie outside its scope: row_count, outside_count."""
    return (
        f"SELECT COUNT(*) AS row_count, COUNTIF(NOT COALESCE({inside}, FALSE)) AS outside_count"
        f" FROM {staging}"
    )


def publish_transform(
    *, target: str, staging: str, columns: Sequence[str], owner: dict[str, str], inside: str
) -> str:
    """One MERGE that replaces the rows of one pipeline and transform in the scope.

    Args:
        target: Quoted table.
        staging: Quoted table.
        columns: Columns of the staging table, all of which the target has.
        owner: `_pipeline_id` and `_transform` of the rows that may be deleted.
        inside: Condition on `t` for the scope.
    """
    owned = " AND ".join(f"t.{key} = {text(value)}" for key, value in owner.items())
    return _merge(
        target=target,
        source=f"SELECT {column_list(columns)} FROM {staging}",
        keys=("_run_id", "_transform", "_attempt", "_row_number"),
        pruned="",
        delete=f"{owned} AND {inside}",
        columns=columns,
    )
