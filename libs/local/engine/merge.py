"""MERGE as a hash join, whatever constants its ON clause carries, and one source row for a target row."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlglot
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from sqlglot import exp

Rewrite = Callable[[str, str], str]

_MATCHED = re.compile(r"(?<!\bNOT\s)\bMATCHED\b", re.IGNORECASE)


def merge_by_hash() -> None:
    """Move conditions in ON that name one side only into a key of that side.

    BigQuery needs constants in ON to prune partitions; DuckDB then compares every pair of rows.
    `ON t.k = s.k AND t.day IN (…)` means the same as
    `ON CASE WHEN t.day IN (…) THEN t.k END = s.k`, and that is a hash join.
    """
    for module in (executor, interpreter):
        module.rewrite_table_refs = _then_by_hash(module.rewrite_table_refs)


def _then_by_hash(rewrite: Rewrite) -> Rewrite:
    def rewrite_table_refs(sql: str, project: str) -> str:
        return by_hash(rewrite(sql, project))

    return rewrite_table_refs


def by_hash(sql: str) -> str:
    """Return DuckDB `sql` with one-sided conditions in keys; unchanged where there is no key.

    Unchanged too where parameters are told apart by their order, which moving would change.
    """
    statement = parsed_merge(sql)
    if statement is None or positional(statement):
        return sql
    terms = Terms.of(statement)
    if not terms.keys or not (terms.target or terms.source):
        return sql
    statement.set("on", terms.joined())
    return statement.sql(dialect="duckdb")


def parsed_merge(sql: str) -> exp.Merge | None:
    """Return the MERGE in DuckDB `sql`, or None if it is another statement."""
    if not is_merge(sql):
        return None
    statement = sqlglot.parse_one(sql, read="duckdb")
    return statement if isinstance(statement, exp.Merge) else None


def is_merge(sql: str) -> bool:
    """Whether `sql` is a MERGE; told by its text, for that costs less than parsing."""
    return sql.lstrip()[:5].upper() == "MERGE"


def changes_matches(sql: str) -> bool:
    """Whether a MERGE may have a WHEN MATCHED clause; told by its text, and True where that is unsure."""
    return _MATCHED.search(sql) is not None


async def in_duckdb(project: str, bq_sql: str, ctx: Any, caller: Any) -> str:
    """Return a statement of BigQuery's as DuckDB is given it."""
    translated = await executor.rewrite_and_translate_statement(
        bq_sql, project_id=project, ctx=ctx, caller=caller, translator=executor._translator
    )
    return executor.rewrite_table_refs(translated, project)


def positional(expression: exp.Expression) -> bool:
    """Whether `expression` has parameters without names."""
    return any(mark.this is None for mark in expression.find_all(exp.Placeholder))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """An ON clause, term by term: conditions of one side, pairs of equal values, and the rest.

    A condition that names no table, such as FALSE, counts as one of the target.
    """

    target: Sequence[exp.Expression]
    source: Sequence[exp.Expression]
    keys: Sequence[tuple[exp.Expression, exp.Expression]]
    rest: Sequence[exp.Expression]

    @classmethod
    def of(cls, merge: exp.Merge) -> Terms:
        target, source = (
            frozenset({side.alias_or_name.lower()}) for side in (merge.this, merge.args["using"])
        )
        found = cls(target=[], source=[], keys=[], rest=[])
        for term in _conjuncts(merge.args["on"]):
            found._add(term, target, source)
        return found

    def _add(self, term: exp.Expression, target: frozenset[str], source: frozenset[str]) -> None:
        term = _membership(term)
        if term.find(exp.Query):
            self.rest.append(term)
        elif _tables(term) in (target, frozenset()):
            self.target.append(term)
        elif _tables(term) == source:
            self.source.append(term)
        elif pair := _pair(term, target, source):
            self.keys.append(pair)
        else:
            self.rest.append(term)

    def joined(self) -> exp.Expression:
        """Return the clause with the one-sided conditions inside the first key."""
        (left, right), *others = self.keys
        first = exp.EQ(this=_guarded(left, self.target), expression=_guarded(right, self.source))
        equal = [exp.EQ(this=one, expression=other) for one, other in others]
        return exp.and_(first, *equal, *self.rest, copy=False)


def _conjuncts(condition: exp.Expression) -> Iterator[exp.Expression]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.this)
        yield from _conjuncts(condition.expression)
    else:
        yield condition.copy()


def _membership(term: exp.Expression) -> exp.Expression:
    """Return `x IN (SELECT UNNEST(list))` as a test without a query."""
    query = term.args.get("query") if isinstance(term, exp.In) else None
    select = query.unnest() if query is not None else None
    if not isinstance(select, exp.Select) or set(_given(select)) != {"expressions"}:
        return term
    only = select.expressions[0].unalias()
    unnest = isinstance(only, (exp.Explode, exp.Unnest)) or only.name.upper() == "UNNEST"
    values = only.this if isinstance(only, exp.Explode) else next(iter(only.expressions), None)
    if len(select.expressions) != 1 or not unnest or values is None:
        return term
    return exp.func("list_contains", values.copy(), term.this.copy(), dialect="duckdb")


def _given(select: exp.Select) -> list[str]:
    return [name for name, value in select.args.items() if value]


def _tables(term: exp.Expression) -> frozenset[str]:
    """Return the tables a term names; "" stands for a column without one."""
    columns = term.find_all(exp.Column)
    return frozenset("" if column.args.get("db") else column.table.lower() for column in columns)


def _pair(
    term: exp.Expression, target: frozenset[str], source: frozenset[str]
) -> tuple[exp.Expression, exp.Expression] | None:
    """Return (target's value, source's value) of an equality between the two sides."""
    if not isinstance(term, exp.EQ):
        return None
    sides = {_tables(term.this): term.this, _tables(term.expression): term.expression}
    if set(sides) != {target, source}:
        return None
    return sides[target], sides[source]


def _guarded(value: exp.Expression, conditions: Sequence[exp.Expression]) -> exp.Expression:
    if not conditions:
        return value
    return exp.Case().when(exp.and_(*conditions, copy=False), value)
