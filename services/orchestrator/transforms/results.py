"""Judges the columns that a transform's SELECT returns."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from sqlglot import exp

from libs.common.lineage import ATTEMPT, LINEAGE
from services.orchestrator.transforms.refusals import Refusal

_RESERVED: Final = frozenset(column.name for column in (*LINEAGE, ATTEMPT)) | {"_transform"}


def columns_of(root: exp.Query) -> list[str] | None:
    """Return the names of the result's columns in order, None where a `*` hides them."""
    selects = root.selects
    if any(_hides_columns(select) for select in selects):
        return None
    return [_result_name(select) for select in selects]


def _hides_columns(select: exp.Expr) -> bool:
    column = isinstance(select, exp.Column) and isinstance(select.this, exp.Star)
    return column or isinstance(select, exp.Star)


def _result_name(select: exp.Expr) -> str:
    """Return the name that GoogleSQL gives a result column, empty where it makes one up."""
    named = isinstance(select, exp.Alias | exp.Column | exp.Dot)
    return select.alias_or_name if named else ""


def judge_result(
    root: exp.Query, scope_columns: Collection[str], target_columns: Collection[str]
) -> Iterator[Refusal]:
    """Yield what is wrong with the names of the result; empty `target_columns` allow any."""
    first = root.find(exp.Select)
    if first is not None and first.args.get("kind") and first.parent_select is None:
        kind = f"SELECT AS {first.args['kind']}"
        yield _about_result(kind, "SELECT of named columns", "select the columns themselves")
    names = columns_of(root)
    if names is None:
        return
    if "" in names:
        found = f"result column {names.index('') + 1} without a name"
        yield _about_result(found, "named columns", "give it a name with AS")
    yield from _named(names, scope_columns, target_columns)


def _named(
    names: list[str], scope_columns: Collection[str], target_columns: Collection[str]
) -> Iterator[Refusal]:
    folded = [name.casefold() for name in names if name]
    for name in sorted({name for name in folded if folded.count(name) > 1}):
        yield _about_result(f"result column {name} twice", "each name once", "rename one")
    for name in names:
        if name.casefold() in _RESERVED:
            advice = "the platform writes its lineage there: rename it"
            yield _about_result(f"result column {name}", "names other than lineage columns", advice)
    if target_columns:
        known = {column.casefold() for column in target_columns}
        for name in (name for name in names if name and name.casefold() not in known):
            advice = "rename it, or remove it from the SELECT"
            yield _about_result(f"result column {name}", "columns of the target", advice)
    for column in scope_columns:
        if column.casefold() not in folded:
            advice = f"select it AS {column}"
            yield _about_result(f"no result column {column}", _listed(scope_columns), advice)


def _listed(names: Iterable[str]) -> str:
    return f"a result that has {', '.join(names)}"


def _about_result(found: str, allowed: str, advice: str) -> Refusal:
    return Refusal(line=0, column=0, found=found, allowed=allowed, advice=advice)
