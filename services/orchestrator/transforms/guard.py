"""Judges a transform's SQL: one SELECT over the tenant's own tables, and nothing else."""

import dataclasses
import logging
import re
from collections.abc import Collection, Iterator
from typing import Final

import sqlglot
from sqlglot import errors as sqlglot_errors
from sqlglot import exp

from services.orchestrator.transforms import grammar
from services.orchestrator.transforms.refusals import Refusal, TransformRefused
from services.orchestrator.transforms.results import columns_of, judge_result

SCOPE: Final = "scope"
MAX_CHARACTERS: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIALECT: Final = "bigquery"

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
"""The parser logs the statement it cannot read; what is wrong belongs into the answer instead."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A transform that may run.

    `sql` is written anew from the tree that was judged, without comments or a final semicolon, so
    that nothing runs that was not judged; it may stand in parentheses. `tables` are
    `dataset.table`, sorted; `columns` are the result's names in order, None where a `*` hides them.
    """

    sql: str
    tables: tuple[str, ...]
    parameters: tuple[str, ...]
    columns: tuple[str, ...] | None


def scope_parameter(index: int, column: str) -> str:
    """Return the name of the ARRAY parameter that holds the scope's values of raw column `column`.

    The first scope column's is `scope`, every other's `scope_{column}`.
    """
    return SCOPE if index == 0 else f"{SCOPE}_{column}"


def check_transform(
    sql: str,
    *,
    tenant: str,
    allowed_parameters: Collection[str],
    scope_columns: Collection[str] = (),
    target_columns: Collection[str] = (),
    transform: str = "",
) -> Guarded:
    """Return what may run of `sql`, or raise TransformRefused with everything that is wrong.

    Args:
        sql: GoogleSQL as the tenant wrote it.
        tenant: Whose tables may be read: datasets `{tenant}_{name}`, staging excepted. Whether they carry
            the tenant's label is asked of BigQuery, before the transform runs.
        allowed_parameters: Names without `@`; `scope` must be used.
        scope_columns: Columns that the result must have.
        target_columns: Columns that the result may have; empty means any.
        transform: Name for messages.
    """
    root = _parse(sql, transform)
    judge = _Judge(sql, root, tenant, frozenset(allowed_parameters))
    refusals = [*judge.nodes(), *judge_result(root, scope_columns, target_columns)]
    if refusals:
        raise TransformRefused(dict.fromkeys(refusals), transform)
    columns = columns_of(root)
    return Guarded(
        sql=_written(root, transform),
        tables=tuple(sorted(judge.tables)),
        parameters=tuple(sorted(judge.parameters)),
        columns=None if columns is None else tuple(columns),
    )


def _parse(sql: str, transform: str) -> exp.Query:
    if len(sql) > MAX_CHARACTERS:
        found, allowed = f"{len(sql)} characters", f"at most {MAX_CHARACTERS}"
        raise _refused(found, allowed, "shorten the statement", transform)
    try:
        statements = [one for one in sqlglot.parse(sql, dialect=_DIALECT) if one is not None]
    except sqlglot_errors.ParseError as error:
        raise TransformRefused(list(_syntax(error)), transform) from None
    except (sqlglot_errors.SqlglotError, RecursionError, ValueError) as error:
        found = f"text that is no GoogleSQL ({type(error).__name__})"
        raise _refused(found, "one SELECT", "correct the syntax", transform) from None
    statements = [one for one in statements if not isinstance(one, exp.Semicolon)]
    if len(statements) != 1:
        found = f"{len(statements)} statements"
        raise _refused(found, "one SELECT", "keep one statement in the file", transform)
    root = statements[0]
    if not isinstance(root, exp.Select | exp.SetOperation | exp.Subquery):
        found = f"a statement {grammar.sql_name(root)}"
        advice = "write what the target should hold as a SELECT: publishing is the platform's part"
        raise _refused(found, "one SELECT, WITH and set operations included", advice, transform)
    return root


def _syntax(error: sqlglot_errors.ParseError) -> Iterator[Refusal]:
    for one in error.errors or [{}]:
        near = str(one.get("highlight") or "")[:60]
        yield Refusal(
            line=int(one.get("line") or 0),
            column=int(one.get("col") or 0),
            found=f"a syntax error near {near!r}" if near else "a syntax error",
            allowed="one GoogleSQL SELECT",
            advice="correct the syntax",
        )


def _refused(found: str, allowed: str, advice: str, transform: str) -> TransformRefused:
    refusal = Refusal(line=0, column=0, found=found, allowed=allowed, advice=advice)
    return TransformRefused([refusal], transform)


def _written(judged: exp.Query, transform: str) -> str:
    """Write the tree as SQL; refuse a tree that does not come back the same when it is read."""
    root = _rewritten(judged)
    try:
        text = root.sql(
            dialect=_DIALECT, comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE
        )
        again = sqlglot.parse_one(text, dialect=_DIALECT)
    except (sqlglot_errors.SqlglotError, RecursionError, LookupError, TypeError, ValueError):
        again = None
    if again != root:
        found = "an expression that cannot be written back as it was read"
        advice = "check the number of arguments of each function, or write it another way"
        raise _refused(found, "GoogleSQL with its documented arguments", advice, transform)
    return text


def _rewritten(root: exp.Query) -> exp.Expr:
    """Return a copy in which raw strings are ordinary ones, as they are written back."""

    def ordinary(node: exp.Expr) -> exp.Expr:
        return exp.Literal.string(node.name) if isinstance(node, exp.RawString) else node

    return root.transform(ordinary)


@dataclasses.dataclass(slots=True)
class _Judge:
    """Walks one tree; collects the tables and parameters that it uses."""

    text: str
    root: exp.Query
    tenant: str
    allowed_parameters: frozenset[str]
    tables: set[str] = dataclasses.field(default_factory=set)
    parameters: set[str] = dataclasses.field(default_factory=set)

    def nodes(self) -> Iterator[Refusal]:
        for node in self.root.walk():
            yield from self._node(node)
        if SCOPE not in self.parameters:
            advice = "read only the scope: add WHERE {scope column} IN UNNEST(@scope)"
            yield self._refusal(self.root, "no @scope", "a SELECT that uses @scope", advice)

    def _node(self, node: exp.Expr) -> Iterator[Refusal]:
        if isinstance(node, exp.Anonymous):
            yield from self._function(node)
        elif type(node) not in grammar.ALLOWED:
            advice = "remove it: docs/configuration.md lists what a transform may contain"
            name = grammar.sql_name(node)
            yield self._refusal(node, name, "clauses and functions of one plain SELECT", advice)
        elif isinstance(node, exp.Dot):
            yield from self._dot(node)
        elif isinstance(node, exp.Parameter):
            yield from self._parameter(node)
        elif isinstance(node, exp.Table):
            yield from self._table(node)
        elif isinstance(node, exp.CTE | exp.TableAlias):
            yield from self._alias(node)
        elif isinstance(node, exp.With) and node.args.get("recursive"):
            advice = "write the steps as ordinary WITH clauses"
            yield self._refusal(node, "WITH RECURSIVE", "WITH without RECURSIVE", advice)

    def _function(self, node: exp.Anonymous) -> Iterator[Refusal]:
        quoted = isinstance(node.this, exp.Expr)
        if not quoted and node.name.upper() in grammar.UNTYPED_FUNCTIONS:
            return
        advice = "use GoogleSQL's functions of values; user-defined functions do not run here"
        yield self._refusal(node, grammar.sql_name(node), "built-in functions of values", advice)

    def _dot(self, node: exp.Dot) -> Iterator[Refusal]:
        if not isinstance(node.expression, exp.Identifier):
            found = f"a call {node.sql(dialect=_DIALECT)[:60]}"
            advice = "functions of datasets and of ML, AI, KEYS, AEAD and OBJ do not run here"
            yield self._refusal(node, found, "built-in functions of values", advice)

    def _parameter(self, node: exp.Parameter) -> Iterator[Refusal]:
        name = node.this.name if isinstance(node.this, exp.Var) else ""
        if isinstance(node.this, exp.Parameter):
            advice = "system variables do not belong in a transform: remove it"
            yield self._refusal(node, node.sql(dialect=_DIALECT), self._parameter_list(), advice)
        elif isinstance(node.parent, exp.Parameter):
            return
        elif name not in self.allowed_parameters:
            advice = "use the parameters of this transform's scope"
            yield self._refusal(node, f"parameter @{name}", self._parameter_list(), advice)
        else:
            self.parameters.add(name)

    def _parameter_list(self) -> str:
        return ", ".join(f"@{name}" for name in sorted(self.allowed_parameters))

    def _alias(self, node: exp.CTE | exp.TableAlias) -> Iterator[Refusal]:
        name = node.args.get("alias") if isinstance(node, exp.CTE) else node.this
        if isinstance(name, exp.TableAlias):
            name = name.this
        if name is not None and not (
            isinstance(name, exp.Identifier) and _NAME.fullmatch(name.name)
        ):
            advice = "name it plainly; table decorators (@, $) are not read here"
            found = f"the name {name.sql(dialect=_DIALECT)[:60]}"
            yield self._refusal(node, found, f"names like {_NAME.pattern}", advice)

    def _table(self, node: exp.Table) -> Iterator[Refusal]:
        written = node.sql(dialect=_DIALECT)[:80]
        allowed = f"{self.tenant}_{{dataset}}.{{table}}"
        if not isinstance(node.this, exp.Identifier):
            advice = "read a table instead: table functions and remote queries do not run here"
            yield self._refusal(node, f"a table function {written}", allowed, advice)
        elif node.args.get("catalog"):
            advice = "leave the project out: a transform reads its own project"
            yield self._refusal(node, f"table {written} with a project", allowed, advice)
        elif "INFORMATION_SCHEMA" in written.upper():
            advice = "a transform reads rows of tables, not the catalogue"
            yield self._refusal(node, written, allowed, advice)
        elif not _NAME.fullmatch(node.name):
            advice = "name one table: wildcards, decorators, files and projects are not read here"
            yield self._refusal(node, f"table {written}", allowed, advice)
        elif not node.db:
            if node.name.casefold() not in _visible_ctes(node):
                advice = "write the dataset, or define the name in WITH before it is used"
                yield self._refusal(node, f"table {written} without a dataset", allowed, advice)
        elif not self._owns(node.db):
            advice = "a transform reads the published tables of its own tenant only"
            yield self._refusal(node, f"dataset {node.db}", allowed, advice)
        else:
            self.tables.add(f"{node.db}.{node.name}")

    def _owns(self, dataset: str) -> bool:
        if not _NAME.fullmatch(dataset) or dataset == f"{self.tenant}_staging":
            return False
        return dataset.startswith(f"{self.tenant}_")

    def _refusal(self, node: exp.Expr, found: str, allowed: str, advice: str) -> Refusal:
        line, column = self._where(node)
        return Refusal(line=line, column=column, found=found, allowed=allowed, advice=advice)

    def _where(self, node: exp.Expr) -> tuple[int, int]:
        starts = (part.meta["start"] for part in node.walk() if "start" in part.meta)
        start = min(starts, default=None)
        if start is None:
            return 0, 0
        before = self.text[:start]
        return before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1


def _visible_ctes(table: exp.Table) -> set[str]:
    """Return the names that WITH clauses around `table` define before it, case-folded."""
    names: set[str] = set()
    inside: exp.Expr = table
    above = table.parent
    while above is not None:
        if isinstance(above, exp.With):
            index = above.expressions.index(inside)
            names.update(cte.alias.casefold() for cte in above.expressions[:index])
        elif (clause := above.args.get("with_")) is not None and clause is not inside:
            names.update(cte.alias.casefold() for cte in clause.expressions)
        inside, above = above, above.parent
    return names
