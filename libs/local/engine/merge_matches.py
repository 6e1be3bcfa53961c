"""A MERGE that would change one target row by two source rows is an error, not a coin toss."""

from __future__ import annotations

from typing import Any

import duckdb
from bqemulator.domain.errors import DomainError, InvalidQueryError
from bqemulator.jobs import executor
from sqlglot import exp

from libs.local.engine.merge import changes_matches, in_duckdb, is_merge, parsed_merge, positional

REFUSAL = "UPDATE/MERGE must match at most one source row for each target row"


def one_source_row() -> None:
    """Refuse a MERGE in which two source rows meet a WHEN MATCHED clause of one target row.

    DuckDB takes any of them. Found by a query before the statement, which doubles its cost.
    """
    run = executor._run_single_sql

    async def checked(
        project: str, bq_sql: str, given: list[dict[str, Any]] | None, ctx: Any, *, caller: Any
    ) -> Any:
        if is_merge(bq_sql) and changes_matches(bq_sql):
            _refuse_ambiguous(await in_duckdb(project, bq_sql, ctx, caller), given, ctx)
        return await run(project, bq_sql, given, ctx, caller=caller)

    executor._run_single_sql = checked


def _refuse_ambiguous(sql: str, given: list[dict[str, Any]] | None, ctx: Any) -> None:
    query = ambiguous(sql)
    if query is None:
        return
    try:
        bound, values = executor.bind_parameters(query, given)
        found = ctx.engine.fetch_arrow(bound, values or None)
    except (duckdb.Error, DomainError):
        return  # the statement itself says what is wrong with it
    if found.num_rows:
        raise InvalidQueryError(REFUSAL)


def ambiguous(sql: str) -> str | None:
    """Return a query with a row if MERGE `sql` matches a target row twice; None if it need not be asked.

    Positional parameters cannot be counted out of their order, so such statements are not asked.
    """
    merge = parsed_merge(sql)
    if merge is None or positional(merge):
        return None
    conditions = [_condition(when) for when in merge.args["whens"].expressions if _by_both(when)]
    if not conditions:
        return None
    row = exp.column("rowid", table=merge.this.alias_or_name)
    return (
        exp.select("1")
        .from_(merge.this.copy())
        .join(merge.args["using"].copy(), on=merge.args["on"].copy())
        .where(exp.or_(*conditions))
        .group_by(row)
        .having("COUNT(*) > 1")
        .limit(1)
        .sql(dialect="duckdb")
    )


def _by_both(when: exp.When) -> bool:
    return bool(when.args.get("matched"))


def _condition(when: exp.When) -> exp.Expression:
    condition = when.args.get("condition")
    return condition.copy() if condition is not None else exp.true()
