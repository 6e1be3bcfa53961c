"""Row rules as Polars expressions, and what they count."""

import dataclasses
import decimal
import enum
import functools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import polars as pl

from services.ingest.casting.cast import cast
from services.ingest.columns import TargetColumn

MOST_SAMPLES: Final = 20


class Predicate(enum.StrEnum):
    """What a row must fulfil; values are the fields of `RowRule.predicate`."""

    NOT_BE_NULL = "not_be_null"
    BE_NULL = "be_null"
    BE_IN_SET = "be_in_set"
    NOT_BE_IN_SET = "not_be_in_set"
    BE_BETWEEN = "be_between"
    VALUE_LENGTHS_BETWEEN = "value_lengths_between"
    MATCH_REGEX = "match_regex"
    NOT_MATCH_REGEX = "not_match_regex"
    PAIR_GREATER = "pair_greater"
    PAIR_EQUAL = "pair_equal"


class Ignore(enum.Enum):
    """Rows that a rule over two columns leaves out."""

    BOTH_MISSING = 1
    EITHER_MISSING = 2
    NONE = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row rule; texts are cast to the type of the first column."""

    rule_id: str
    expectation_type: str
    predicate: Predicate
    columns: tuple[str, ...]
    quarantines: bool = False
    values: tuple[str, ...] = ()
    min_value: str | None = None
    max_value: str | None = None
    strict_min: bool = False
    strict_max: bool = False
    regex: str = ""
    or_equal: bool = False
    ignore: Ignore = Ignore.BOTH_MISSING


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a rule says about a batch.

    unexpected: (n,) which rows break it. missing_count: rows left out.
    """

    unexpected: pl.Series
    missing_count: int


def check(rule: Rule, columns: Mapping[str, TargetColumn]) -> None:
    """Raise ValueError for a rule that no row of these columns can be judged by."""
    if unknown := [name for name in rule.columns if name not in columns]:
        raise ValueError(f"rule {rule.rule_id}: no column {', '.join(unknown)}")
    empty = pl.DataFrame(schema={name: columns[name].dtype for name in rule.columns})
    try:
        evaluate(rule, empty, columns)
    except (pl.exceptions.PolarsError, ValueError) as error:
        kind = columns[rule.columns[0]].declared
        text = f"rule {rule.rule_id}: {rule.predicate} does not go with {kind}"
        raise ValueError(f"{text} ({str(error).splitlines()[0][:200]})") from error


class RowRules:
    """Rules over columns of a schema, all of them looked at in one go over a batch."""

    def __init__(self, rules: Sequence[Rule], columns: Mapping[str, TargetColumn]) -> None:
        """Raise ValueError for a rule whose bounds are no values of its column's type."""
        self._looks = [
            look
            for index, rule in enumerate(rules)
            for look in (
                _left_out(rule).alias(f"left_out_{index}"),
                _holds(rule, columns).fill_null(value=False).alias(f"holds_{index}"),
            )
        ]
        floats = {n for rule in rules for n in rule.columns if columns[n].type == "FLOAT64"}
        self._numbers = [pl.col(name).fill_nan(None) for name in sorted(floats)]

    def evaluate(self, frame: pl.DataFrame) -> list[Outcome]:
        """Evaluate over typed rows. Null counts as Great Expectations counts it, NaN as null."""
        if not self._looks:
            return []
        rows = frame.with_columns(self._numbers) if self._numbers else frame
        found = rows.select(self._looks).get_columns()
        pairs = zip(found[::2], found[1::2], strict=True)
        return [
            Outcome(unexpected=~holds & ~left_out, missing_count=int(left_out.sum()))
            for left_out, holds in pairs
        ]


@functools.lru_cache(8)
def row_rules(rules: tuple[Rule, ...], columns: tuple[TargetColumn, ...]) -> RowRules:
    """Return rules that rows of these columns can be judged by.

    Those of the last few runs are kept: to prepare them takes longer than to judge a small chunk.

    Raises:
        ValueError: no row of these columns can be judged by one of them.
    """
    named = {column.name: column for column in columns}
    for rule in rules:
        check(rule, named)
    return RowRules(rules, named)


def evaluate(rule: Rule, frame: pl.DataFrame, columns: Mapping[str, TargetColumn]) -> Outcome:
    """Evaluate one rule over typed rows."""
    return RowRules([rule], columns).evaluate(frame)[0]


def _left_out(rule: Rule) -> pl.Expr:
    """Return an expression of the rows' height."""
    first = pl.col(rule.columns[0])
    if rule.predicate in {Predicate.NOT_BE_NULL, Predicate.BE_NULL}:
        return first.is_null() & pl.lit(value=False)
    if len(rule.columns) == 1:
        return first.is_null()
    second = pl.col(rule.columns[1])
    if rule.ignore is Ignore.EITHER_MISSING:
        return first.is_null() | second.is_null()
    if rule.ignore is Ignore.BOTH_MISSING:
        return first.is_null() & second.is_null()
    return first.is_null() & pl.lit(value=False)


def _holds(  # noqa: C901, PLR0911 one case a predicate
    rule: Rule, columns: Mapping[str, TargetColumn]
) -> pl.Expr:
    column = pl.col(rule.columns[0])
    match rule.predicate:
        case Predicate.NOT_BE_NULL:
            return column.is_not_null()
        case Predicate.BE_NULL:
            return column.is_null()
        case Predicate.BE_IN_SET:
            return column.is_in(_typed(rule.values, columns[rule.columns[0]]).implode())
        case Predicate.NOT_BE_IN_SET:
            return ~column.is_in(_typed(rule.values, columns[rule.columns[0]]).implode())
        case Predicate.BE_BETWEEN:
            return _between(rule, column, columns[rule.columns[0]])
        case Predicate.VALUE_LENGTHS_BETWEEN:
            length = TargetColumn.parse("length", "INT64")
            return _between(rule, column.str.len_chars().cast(pl.Int64), length)
        case Predicate.MATCH_REGEX:
            return column.str.contains(rule.regex)
        case Predicate.NOT_MATCH_REGEX:
            return ~column.str.contains(rule.regex)
        case Predicate.PAIR_GREATER:
            other = pl.col(rule.columns[1])
            return column >= other if rule.or_equal else column > other
        case Predicate.PAIR_EQUAL:
            return column == pl.col(rule.columns[1])


def _between(rule: Rule, value: pl.Expr, column: TargetColumn) -> pl.Expr:
    holds = pl.lit(value=True)
    if rule.min_value is not None:
        low = _bound(rule.min_value, column, decimal.ROUND_CEILING, strict=rule.strict_min)
        holds = holds & (value > low.value if low.strict else value >= low.value)
    if rule.max_value is not None:
        high = _bound(rule.max_value, column, decimal.ROUND_FLOOR, strict=rule.strict_max)
        holds = holds & (value < high.value if high.strict else value <= high.value)
    return holds


@dataclasses.dataclass(frozen=True, slots=True)
class _Bound:
    """An end of a range in the column's type."""

    value: pl.Expr
    strict: bool


_WIDE: Final = decimal.Context(prec=1000, traps=[decimal.InvalidOperation])
_SCALES: Final = {"INT64": 0, "NUMERIC": 9, "BIGNUMERIC": 18}


def _bound(text: str, column: TargetColumn, rounding: str, *, strict: bool) -> _Bound:
    """Return an end of a range; a number between two values of the type is the next one inside.

    Raises:
        ValueError: the text is no value to compare the column with.
    """
    scale = _SCALES.get(column.type)
    if scale is None:
        typed = _typed((text,), column)
        if not len(typed):
            raise ValueError(f"{text!r} is no {column.type}")
        return _Bound(pl.lit(typed.first(), dtype=column.dtype), strict)
    try:
        number = _WIDE.create_decimal(text)
        inside = number.quantize(Decimal(1).scaleb(-scale), rounding, _WIDE)
        most = Decimal(f"{'9' * 38}E-{scale}")
        reached = max(most.copy_negate(), min(most, inside))
    except decimal.InvalidOperation as error:
        raise ValueError(f"{text!r} is no number") from error
    if reached != inside:
        strict = (reached < inside) == (rounding == decimal.ROUND_CEILING)
        return _Bound(pl.lit(reached, dtype=pl.Decimal(38, scale)), strict)
    return _Bound(pl.lit(inside, dtype=pl.Decimal(38, scale)), strict and inside == number)


def _typed(texts: Sequence[str], column: TargetColumn) -> pl.Series:
    """Return texts in the column's type; one that does not fit equals no value and is left out."""
    frame = pl.DataFrame({column.name: pl.Series(list(texts), dtype=pl.String)})
    optional = dataclasses.replace(column, mode="NULLABLE", max_length=None)
    return cast(frame, [optional]).frame[column.name].drop_nulls()


def samples(frame: pl.DataFrame, rule: Rule, unexpected: pl.Series) -> list[str]:
    """Return up to 20 values that break a rule, as text."""
    rows = frame.filter(unexpected).head(MOST_SAMPLES).select(rule.columns).rows()
    texts = (" | ".join(map(_shown, row)) for row in rows if any(v is not None for v in row))
    return list(dict.fromkeys(texts))


def _shown(value: object) -> str:
    """Return a value as text, a decimal without the zeros that its column's scale adds."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    pointed = isinstance(value, Decimal) and "." in text
    return text.rstrip("0").rstrip(".") if pointed else text
