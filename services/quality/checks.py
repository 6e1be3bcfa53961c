"""What expectations become: checks of rows, duplicates, aggregates and metadata."""

import dataclasses
import enum


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
    """Which rows a rule over several columns leaves out."""

    ALL_MISSING = 1
    ANY_MISSING = 2
    NONE = 3


class Measure(enum.StrEnum):
    """An aggregate of one column."""

    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table that a suite is about; `type` has no parameters."""

    name: str
    type: str
    repeated: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A range as texts of a type; None is open."""

    min_value: str | None = None
    max_value: str | None = None
    strict_min: bool = False
    strict_max: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowCheck:
    """About single rows: evaluated by the workers."""

    predicate: Predicate
    columns: tuple[str, ...]
    mostly: float = 1.0
    values: tuple[str, ...] = ()
    range: Range = Range()
    regex: str = ""
    or_equal: bool = False
    ignore: Ignore = Ignore.ALL_MISSING


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Rows whose values in `columns` stand in another row too are unexpected, all of them."""

    columns: tuple[Column, ...]
    ignore: Ignore
    mostly: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowCount:
    """How many rows the table has."""

    range: Range


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """An aggregate of a column lies in a range."""

    measure: Measure
    column: Column
    range: Range


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ColumnThere:
    """Answered from the schema."""

    column: str
    success: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ColumnsMatch:
    """Answered from the schema."""

    success: bool
    observed: tuple[str, ...]


TableCheck = Duplicates | RowCount | Aggregate
"""Checks that the table must be asked for."""

Check = RowCheck | TableCheck | ColumnThere | ColumnsMatch
