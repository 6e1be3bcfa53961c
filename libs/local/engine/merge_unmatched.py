"""A MERGE in which no row matches is a DELETE and an INSERT, without a join."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import pyarrow as pa
from bqemulator.jobs import executor
from sqlglot import exp

from libs.local.engine.merge import Terms, changes_matches, in_duckdb, is_merge, parsed_merge


def merge_without_match_in_two() -> None:
    """Ask first whether any row has the first key of another; if none has, delete and insert.

    What a run publishes has new keys, unless it is published again. DuckDB joins all rows of both
    sides all the same, with all their columns: as much work as storing them once more.
    """
    run = executor._run_single_sql

    async def in_two(
        project: str, bq_sql: str, given: list[dict[str, Any]] | None, ctx: Any, *, caller: Any
    ) -> Any:
        if not given and is_merge(bq_sql) and not changes_matches(bq_sql):
            parts = Unmatched.of(await in_duckdb(project, bq_sql, ctx, caller))
            if parts is not None and (changed := _done(parts, ctx)) is not None:
                return changed
        return await run(project, bq_sql, given, ctx, caller=caller)

    executor._run_single_sql = in_two


def _done(parts: Unmatched, ctx: Any) -> pa.Table | None:
    """Return the number of changed rows as DuckDB does; None, with nothing changed, if a row may match."""
    sql = parts.probe
    try:
        if _views(ctx) & parts.reads or ctx.engine.fetch_arrow(sql).num_rows:
            return None
        changed = 0
        for sql in parts.statements:
            changed += ctx.engine.fetch_arrow(sql).column(0)[0].as_py()
    except Exception as error:
        raise executor.translate_runtime_error(error, duckdb_sql=sql) from error
    return pa.table({"Count": pa.array([changed], pa.int64())})


def _views(ctx: Any) -> set[str]:
    """Return the names of all views; what stands behind one may be the target."""
    found = ctx.engine.fetch_arrow("SELECT lower(view_name) FROM duckdb_views() WHERE NOT internal")
    return set(found.column(0).to_pylist())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """What a MERGE does where no two rows match, in DuckDB's SQL.

    probe: A query with a row if a target row has the first key of a source row.
    statements: What is deleted, then what is inserted.
    reads: Names of the tables that the source is made of, in small letters.
    """

    probe: str
    statements: Sequence[str]
    reads: frozenset[str]

    @classmethod
    def of(cls, sql: str) -> Self | None:
        """Return the parts of a MERGE, or None for another statement and for one with other clauses.

        Taken apart are at most one DELETE of what the source lacks and one INSERT of what the
        target lacks. A source or a condition that reads the target would see the deletion.
        """
        merge = parsed_merge(sql)
        if merge is None or merge.args.get("with_") or merge.find(exp.Placeholder, exp.Parameter):
            return None
        keys, whens = Terms.of(merge).keys, merge.args["whens"].expressions
        reads = frozenset(table.name.lower() for table in merge.args["using"].find_all(exp.Table))
        if not keys or merge.this.name.lower() in reads or any(map(_other, whens)):
            return None
        gone = [when for when in whens if when.args.get("source")]
        new = [when for when in whens if not when.args.get("source")]
        if len(gone) > 1 or len(new) > 1:
            return None
        statements = [*(_delete(merge, when) for when in gone), *(_insert(merge, w) for w in new)]
        return cls(
            probe=_probe(merge, *keys[0]).sql(dialect="duckdb"),
            statements=[statement.sql(dialect="duckdb") for statement in statements],
            reads=reads,
        )


def _other(when: exp.When) -> bool:
    """Whether a clause is neither a plain DELETE of the target's nor a plain INSERT of the source's."""
    then = when.args["then"]
    if when.args.get("matched") or when.find(exp.Query):
        return True
    if when.args.get("source"):
        return not (isinstance(then, exp.Var) and then.name.upper() == "DELETE")
    listed = isinstance(then, exp.Insert) and all(
        isinstance(then.args.get(part), exp.Tuple) for part in ("this", "expression")
    )
    return not listed or any(value.name.upper() == "DEFAULT" for value in then.expression)


def _probe(merge: exp.Merge, left: exp.Expression, right: exp.Expression) -> exp.Expression:
    keys = exp.select(right.copy()).distinct().from_(merge.args["using"].copy())
    return exp.select("1").from_(merge.this.copy()).where(left.copy().isin(query=keys)).limit(1)


def _delete(merge: exp.Merge, when: exp.When) -> exp.Expression:
    delete = exp.delete(merge.this.copy())
    condition = when.args.get("condition")
    return delete.where(condition.copy()) if condition is not None else delete


def _insert(merge: exp.Merge, when: exp.When) -> exp.Expression:
    then, condition = when.args["then"], when.args.get("condition")
    rows = exp.select(*(value.copy() for value in then.expression.expressions)).from_(
        merge.args["using"].copy()
    )
    if condition is not None:
        rows = rows.where(condition.copy())
    target = merge.this.copy()
    target.set("alias", None)
    return exp.insert(
        rows, target, columns=[column.this.copy() for column in then.this.expressions]
    )
