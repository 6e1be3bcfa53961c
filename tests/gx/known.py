"""Cases that are chosen rather than drawn: edges, refusals, and where exact values differ."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.gx.tables import Table


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One expectation of one table.

    refused: Great Expectations raises, and Convergence refuses this field of the expectation.
    exact: Convergence's verdict, which is not Great Expectations'. why: the reason.
    """

    table: str
    type: str
    kwargs: dict[str, Any]
    refused: str | None = None
    exact: bool | None = None
    why: str | None = None


FLOATED = "a bound is read as a binary number"
ADDED = "decimals are added as binary numbers"
ROUNDED = "whole numbers beyond 2^53 are compared as binary numbers"
UNREAD = "a date is compared with a text"
NO_MOMENT = "no moment is taken for a moment"

VALUES = "expect_column_values_to"
COLUMN = "expect_column"
DIFFERENT = (
    ("tenths", f"{VALUES}_be_between", {"column": "cost", "max_value": 0.3}, True, FLOATED),
    ("tenths", f"{VALUES}_be_between", {"column": "cost", "min_value": 0.1}, True, FLOATED),
    (
        "tenths",
        f"{VALUES}_be_in_set",
        {"column": "cost", "value_set": [0.1, 0.2, 0.3]},
        True,
        FLOATED,
    ),
    ("tenths", f"{VALUES}_not_be_in_set", {"column": "cost", "value_set": [0.2]}, False, FLOATED),
    ("tenths", f"{COLUMN}_min_to_be_between", {"column": "cost", "min_value": 0.1}, True, FLOATED),
    ("tenths", f"{COLUMN}_max_to_be_between", {"column": "cost", "max_value": 0.3}, True, FLOATED),
    ("tenths", f"{COLUMN}_sum_to_be_between", {"column": "cost", "max_value": 0.6}, True, ADDED),
    ("tenths", f"{COLUMN}_mean_to_be_between", {"column": "cost", "max_value": 0.2}, True, ADDED),
    (
        "tenths",
        f"{COLUMN}_sum_to_be_between",
        {"column": "money", "min_value": 10**16, "strict_min": True},
        True,
        ADDED,
    ),
    ("tenths", f"{VALUES}_be_between", {"column": "n", "max_value": 2**53}, False, ROUNDED),
    ("tenths", f"{COLUMN}_max_to_be_between", {"column": "n", "max_value": 2**53}, False, ROUNDED),
    ("tenths", f"{VALUES}_be_in_set", {"column": "day", "value_set": ["2024-02-29"]}, True, UNREAD),
    (
        "tenths",
        f"{VALUES}_not_be_in_set",
        {"column": "day", "value_set": ["2024-02-29"]},
        False,
        UNREAD,
    ),
    ("empty", f"{COLUMN}_max_to_be_between", {"column": "moment"}, False, NO_MOMENT),
    ("nulls", f"{COLUMN}_min_to_be_between", {"column": "at"}, False, NO_MOMENT),
)
"""(table, type, kwargs, the exact verdict, why Great Expectations says the opposite)"""

EDGES = (
    ("odd", f"{VALUES}_not_be_null", {"column": "ratio"}),
    ("odd", f"{VALUES}_be_null", {"column": "ratio", "mostly": 0.25}),
    ("odd", f"{VALUES}_be_between", {"column": "ratio", "min_value": 1}),
    ("odd", f"{VALUES}_be_between", {"column": "ratio", "max_value": 2}),
    ("odd", f"{VALUES}_be_in_set", {"column": "ratio", "value_set": [1.5]}),
    ("odd", f"{VALUES}_not_be_in_set", {"column": "ratio", "value_set": [1.5], "mostly": 0.5}),
    ("odd", f"{VALUES}_be_unique", {"column": "ratio"}),
    ("odd", "expect_column_min_to_be_between", {"column": "small", "min_value": 1.5}),
    ("odd", "expect_column_max_to_be_between", {"column": "small", "max_value": 2.5}),
    (
        "odd",
        "expect_column_sum_to_be_between",
        {"column": "small", "min_value": 5.5, "max_value": 5.5},
    ),
    (
        "odd",
        "expect_column_mean_to_be_between",
        {"column": "small", "strict_max": True, "max_value": 2},
    ),
    ("odd", "expect_column_max_to_be_between", {"column": "ratio", "min_value": 1e300}),
    (
        "odd",
        "expect_column_pair_values_to_be_equal",
        {"column_A": "ratio", "column_B": "small", "ignore_row_if": "either_value_is_missing"},
    ),
    (
        "odd",
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "ratio", "column_B": "small", "ignore_row_if": "neither", "or_equal": True},
    ),
    ("odd", "expect_compound_columns_to_be_unique", {"column_list": ["ratio", "small"]}),
    ("odd", f"{VALUES}_be_unique", {"column": "money"}),
    ("odd", f"{VALUES}_be_in_set", {"column": "money", "value_set": [1, 2.5, -0.0]}),
    ("odd", f"{VALUES}_be_between", {"column": "n", "min_value": -4e18, "max_value": 4e18}),
    ("odd", f"{VALUES}_not_be_in_set", {"column": "n", "value_set": [9007199254740993]}),
    ("odd", "expect_column_value_lengths_to_be_between", {"column": "word", "max_value": 2}),
    ("odd", f"{VALUES}_match_regex", {"column": "word", "regex": "^.{1,2}$"}),
    ("odd", f"{VALUES}_match_regex", {"column": "word", "regex": "^.$"}),
    ("odd", f"{VALUES}_be_unique", {"column": "word"}),
    ("odd", f"{VALUES}_be_in_set", {"column": "word", "value_set": ["é", "nan", "None"]}),
)
"""NaN, infinities, equal decimals of other scales, large whole numbers, composed characters."""

REFUSED = (
    (f"{VALUES}_be_between", {"column": "n", "min_value": 5, "max_value": 1}, "min_value"),
    (f"{VALUES}_be_between", {"column": "n"}, "min_value"),
    (f"{VALUES}_be_between", {"column": "word", "min_value": "b"}, "column"),
    (f"{VALUES}_be_between", {"column": "gone", "min_value": 1}, "column"),
    (f"{VALUES}_be_between", {"column": "at", "min_value": "2024-02-27T00:00:00Z"}, "min_value"),
    (f"{VALUES}_be_between", {"column": "day", "min_value": 5}, "min_value"),
    ("expect_column_value_lengths_to_be_between", {"column": "word"}, "min_value"),
    ("expect_table_row_count_to_be_between", {"min_value": 3, "max_value": 1}, "min_value"),
    ("expect_table_row_count_to_equal", {"value": "many"}, "value"),
    (f"{VALUES}_not_be_null", {"column": "gone"}, "column"),
    (f"{VALUES}_not_be_null", {"column": "n", "mostly": 1.5}, "mostly"),
    (f"{VALUES}_not_be_null", {"column": "n", "mostly": -0.5}, "mostly"),
    (f"{VALUES}_not_be_null", {"column": "n", "mostly": "most"}, "mostly"),
    (f"{VALUES}_not_be_null", {"column": "n", "least": 1}, "least"),
    (f"{VALUES}_match_regex", {"column": "word", "regex": "("}, "regex"),
    (f"{VALUES}_match_regex", {"column": "word", "regex": r"\z"}, "regex"),
    (f"{VALUES}_match_regex", {"column": "word", "regex": r"\p{L}"}, "regex"),
    ("expect_compound_columns_to_be_unique", {"column_list": ["n"]}, "column_list"),
    ("expect_compound_columns_to_be_unique", {"column_list": ["n", "gone"]}, "column_list[1]"),
    (
        "expect_column_pair_values_to_be_equal",
        {"column_A": "n", "column_B": "m", "ignore_row_if": "never"},
        "ignore_row_if",
    ),
    ("expect_column_pair_values_to_be_equal", {"column_A": "n"}, "column_B"),
    ("expect_column_to_exist", {"column": 3}, "column"),
)
"""(type, kwargs, field): what Great Expectations raises for, Convergence refuses."""


def tables() -> list[Table]:
    """Return the tables of `EDGES` and of the cases where exact values differ."""
    tenths = {"n": "INT64", "money": "NUMERIC", "cost": "BIGNUMERIC", "day": "DATE"}
    odd = {
        "n": "INT64",
        "money": "NUMERIC",
        "ratio": "FLOAT64",
        "small": "FLOAT64",
        "word": "STRING",
    }
    return [
        Table(
            name="tenths",
            columns=tenths,
            rows=[
                ["9007199254740993", "10000000000000000", "0.1", "2024-02-29"],
                ["1", "0.01", "0.2", "2024-02-29"],
                ["1", None, "0.3", None],
            ],
        ),
        Table(
            name="odd",
            columns=odd,
            rows=[
                ["9007199254740993", "1", "NaN", "1.5", "é"],
                ["-4000000000000000000", "1.0", None, "1.5", "e\u0301"],
                ["4000000000000000000", "2.50", "inf", "NaN", "🙂"],
                [None, "0", "1.5", "2.5", "👩\u200d👩"],
                ["0", "-0.0", "NaN", None, "NaN"],
                ["7", None, "1.5", None, "None"],
            ],
        ),
    ]


def cases() -> list[Case]:
    """Return all chosen cases."""
    return [
        *(
            Case(table=table, type=type_, kwargs=kwargs, exact=exact, why=why)
            for table, type_, kwargs, exact, why in DIFFERENT
        ),
        *(Case(table=table, type=type_, kwargs=kwargs) for table, type_, kwargs in EDGES),
        *(
            Case(table="ten", type=type_, kwargs=kwargs, refused=field)
            for type_, kwargs, field in REFUSED
        ),
    ]
