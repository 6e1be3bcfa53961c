"""Numbers that a statement spells out reach NUMERIC and BIGNUMERIC columns as they are written."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import sqlglot
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from sqlglot import exp

from libs.local.engine.exact_casts import as_written

Translate = Callable[..., Awaitable[str]]
Assignment = tuple[str, exp.Expression]

WRITES: Final = re.compile(r"\s*(INSERT|UPDATE|MERGE)\b", re.IGNORECASE)
DECIMALS: Final = {
    "NUMERIC": "NUMERIC",
    "DECIMAL": "NUMERIC",
    "BIGNUMERIC": "BIGNUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}


def assigned_literals_exact() -> None:
    """Cast literals that INSERT, UPDATE and MERGE put into decimal columns from their text.

    Stock makes a double of every literal with a point: 1.005 is stored as 1.004999999999999872.
    """
    for module in (executor, interpreter):
        module.rewrite_and_translate_statement = _exactly(module.rewrite_and_translate_statement)


def _exactly(translate: Translate) -> Translate:
    async def translated(bq_sql: str, *, project_id: str, ctx: Any, **rest: Any) -> str:
        def columns(table: exp.Table) -> dict[str, str]:
            listed = ctx.catalog.get_table(table.catalog or project_id, table.db, table.name)
            fields = listed.schema_.fields if listed is not None else ()
            return {field.name.lower(): field.type.upper() for field in fields}

        exact = with_exact_literals(bq_sql, columns)
        return await translate(exact, project_id=project_id, ctx=ctx, **rest)

    return translated


def with_exact_literals(bq_sql: str, columns: Callable[[exp.Table], dict[str, str]]) -> str:
    """Return `bq_sql` with a CAST around each literal for a decimal column; unchanged if none.

    `columns` returns a table's columns, by name in lower case, with their types, in order.
    """
    if not WRITES.match(bq_sql):
        return bq_sql
    try:
        statement = sqlglot.parse_one(bq_sql, read="bigquery")
    except sqlglot.ParseError:
        return bq_sql  # whoever translates it says what is wrong
    table = statement.find(exp.Table)
    types = columns(table) if table is not None else {}
    changed = False
    for column, value in list(_assignments(statement, list(types))):
        type_ = DECIMALS.get(types.get(column.lower(), ""))
        text = as_written(value) or (value if value.is_string else None)
        if type_ is not None and text is not None:
            value.replace(exp.cast(text.copy(), type_, dialect="bigquery"))
            changed = True
    return statement.sql(dialect="bigquery") if changed else bq_sql


def _assignments(statement: exp.Expression, columns: Sequence[str]) -> Iterator[Assignment]:
    """Yield (column, value) for what `statement` writes; `columns` are the table's, in order."""
    if isinstance(statement, exp.Merge):
        for when in statement.args["whens"].expressions:
            yield from _assignments(when.args["then"], columns)
    elif isinstance(statement, exp.Update):
        for each in statement.expressions:
            if isinstance(each, exp.EQ):
                yield each.this.name, each.expression
    elif isinstance(statement, exp.Insert):
        target = statement.this
        named = [each.name for each in target.expressions] if target is not None else []
        for row in _rows(statement.expression):
            yield from zip(named or columns, row, strict=False)


def _rows(source: exp.Expression | None) -> Iterator[list[exp.Expression]]:
    """Yield the values of each row that an INSERT spells out; a SELECT counts as one."""
    if isinstance(source, exp.Values):
        for row in source.expressions:
            yield row.expressions
    elif isinstance(source, exp.Tuple):
        yield source.expressions
    elif isinstance(source, exp.Select):
        yield [each.unalias() for each in source.expressions]
