"""What is not compiled is refused: by its path in the file, with what was found and allowed."""

from typing import Any

import pytest

from services.quality.expectations import EXPECTATIONS
from tests.unit.quality.suites_of import expect, refused

SET = "column_values_to_be_in_set"
BETWEEN = "column_values_to_be_between"
LENGTHS = "column_value_lengths_to_be_between"
MATCH = "column_values_to_match_regex"
NULL = "column_values_to_not_be_null"
EQUAL = "column_pair_values_to_be_equal"
GREATER = "column_pair_values_a_to_be_greater_than_b"
COMPOUND = "compound_columns_to_be_unique"
ROWS = "table_row_count_to_be_between"

# type, kwargs, the kwarg that is refused, words of the sentence
KWARGS: list[tuple[str, dict[str, Any], str, list[str]]] = [
    # kwargs that would change the meaning
    (NULL, {"column": "n", "row_condition": "n > 1"}, "row_condition", ["found row_condition, which is not compiled", "allowed are column, mostly"]),
    (NULL, {"column": "n", "condition_parser": "pandas"}, "condition_parser", ["which is not compiled"]),
    (NULL, {"column": "n", "result_format": "COMPLETE"}, "result_format", ["which is not compiled"]),
    (NULL, {"column": "n", "catch_exceptions": False}, "catch_exceptions", ["which is not compiled"]),
    (NULL, {"column": "n", "moslty": 1}, "moslty", ["found moslty, which is no kwarg of expect_column_values_to_not_be_null", "allowed are column, mostly"]),
    (ROWS, {"mostly": 0.5}, "mostly", ["which is no kwarg of", "allowed are max_value, min_value, strict_max, strict_min"]),
    ("column_sum_to_be_between", {"column": "n", "mostly": 0.5}, "mostly", ["which is no kwarg of"]),
    # columns
    (NULL, {}, "column", ["found None", "allowed is the name of a column"]),
    (NULL, {"column": 3}, "column", ["found 3", "allowed is the name of a column"]),
    (NULL, {"column": "mony"}, "column", ["found 'mony', which is no column", "did you mean money?"]),
    (NULL, {"column": "N"}, "column", ["found 'N', which is no column"]),
    (NULL, {"column": "labels"}, "column", ["found labels, which is REPEATED", "allowed are columns of single values"]),
    (BETWEEN, {"column": "word", "min_value": 1}, "column", ["found word, which is STRING", "allowed are columns of type BIGNUMERIC, DATE, DATETIME, FLOAT64, INT64, NUMERIC, TIMESTAMP"]),
    (BETWEEN, {"column": "flag", "min_value": 1}, "column", ["found flag, which is BOOL"]),
    (LENGTHS, {"column": "n", "min_value": 1}, "column", ["found n, which is INT64", "allowed are columns of type STRING"]),
    (MATCH, {"column": "n", "regex": "1"}, "column", ["found n, which is INT64", "allowed are columns of type STRING"]),
    ("column_sum_to_be_between", {"column": "day"}, "column", ["found day, which is DATE", "allowed are columns of type BIGNUMERIC, FLOAT64, INT64, NUMERIC"]),
    ("column_max_to_be_between", {"column": "word"}, "column", ["found word, which is STRING"]),
    ("column_values_to_be_unique", {"column": "tags"}, "column", ["found tags, which is JSON"]),
    (COMPOUND, {"column_list": ["n", "tags"]}, "column_list[1]", ["found tags, which is JSON"]),
    (COMPOUND, {"column_list": ["n", "gone"]}, "column_list[1]", ["found 'gone', which is no column"]),
    (COMPOUND, {"column_list": ["n", "n"]}, "column_list", ["found ['n', 'n']", "allowed are two or more columns, each once"]),
    (COMPOUND, {"column_list": ["n"]}, "column_list", ["allowed are two or more columns"]),
    (COMPOUND, {"column_list": "n"}, "column_list", ["found 'n'", "allowed is a list of names"]),
    (COMPOUND, {"column_list": ["n", 3]}, "column_list", ["allowed is a list of names"]),
    (EQUAL, {"column_A": "n", "column_B": "gone"}, "column_B", ["found 'gone', which is no column"]),
    (EQUAL, {"column_A": "n", "column_B": "word"}, "column_B", ["n is INT64, word is STRING", "allowed are equal types"]),
    (EQUAL, {"column_A": "cost", "column_B": "ratio"}, "column_B", ["cost is BIGNUMERIC, ratio is FLOAT64"]),
    (EQUAL, {"column_A": "tags", "column_B": "tags"}, "column_A", ["found tags, which is JSON"]),
    (GREATER, {"column_A": "flag", "column_B": "flag"}, "column_A", ["found flag, which is BOOL"]),
    # mostly
    (NULL, {"column": "n", "mostly": 1.5}, "mostly", ["found 1.5", "allowed is a number from 0 to 1"]),
    (NULL, {"column": "n", "mostly": -0.1}, "mostly", ["found -0.1"]),
    (NULL, {"column": "n", "mostly": None}, "mostly", ["found None"]),
    (NULL, {"column": "n", "mostly": "0.5"}, "mostly", ["found '0.5'"]),
    (NULL, {"column": "n", "mostly": True}, "mostly", ["found True"]),
    (NULL, {"column": "n", "mostly": {"$PARAMETER": "share"}}, "mostly", ["found {'$PARAMETER': 'share'}"]),
    # ranges
    (BETWEEN, {"column": "n"}, "min_value", ["found neither min_value nor max_value", "give one"]),
    (BETWEEN, {"column": "n", "min_value": None, "max_value": None}, "min_value", ["found neither"]),
    (LENGTHS, {"column": "word"}, "min_value", ["found neither"]),
    (BETWEEN, {"column": "n", "min_value": 2, "max_value": 1}, "min_value", ["found 2", "allowed is at most max_value, 1"]),
    (BETWEEN, {"column": "ratio", "min_value": 2.5, "max_value": 1}, "min_value", ["found 2.5", "allowed is at most max_value, 1.0"]),
    (BETWEEN, {"column": "day", "min_value": "2024-02-02", "max_value": "2024-02-01"}, "min_value", ["found 2024-02-02", "at most max_value, 2024-02-01"]),
    (BETWEEN, {"column": "moment", "min_value": "2024-02-01T00:30:00+00:00", "max_value": "2024-02-01T01:00:00+02:00"}, "min_value", ["found 2024-02-01T00:30:00+00:00"]),
    (ROWS, {"min_value": 9, "max_value": 8}, "min_value", ["found 9", "allowed is at most max_value, 8"]),
    (LENGTHS, {"column": "word", "min_value": 3, "max_value": 2}, "min_value", ["found 3"]),
    ("column_sum_to_be_between", {"column": "cost", "min_value": 0.3, "max_value": 0.2}, "min_value", ["found 0.3", "at most max_value, 0.2"]),
    (BETWEEN, {"column": "n", "min_value": "1"}, "min_value", ["found '1'", "allowed is a number"]),
    (BETWEEN, {"column": "n", "min_value": True}, "min_value", ["found True", "allowed is a number"]),
    (BETWEEN, {"column": "n", "max_value": [1]}, "max_value", ["found [1]", "allowed is a number"]),
    (BETWEEN, {"column": "day", "max_value": 20240101}, "max_value", ["found 20240101", "allowed is a value of type DATE: a text YYYY-MM-DD"]),
    (BETWEEN, {"column": "day", "max_value": "yesterday"}, "max_value", ["found 'yesterday'", "YYYY-MM-DD"]),
    (BETWEEN, {"column": "at", "max_value": "2024-02-01T00:00:00Z"}, "max_value", ["without an offset"]),
    (BETWEEN, {"column": "n", "min_value": 1, "strict_min": "yes"}, "strict_min", ["found 'yes'", "allowed are true and false"]),
    (BETWEEN, {"column": "n", "min_value": 1, "strict_max": None}, "strict_max", ["found None", "allowed are true and false"]),
    (ROWS, {"min_value": 1.5}, "min_value", ["found 1.5", "allowed is a value of type INT64: a whole number of 64 bits"]),
    ("table_row_count_to_equal", {}, "value", ["found None", "a number"]),
    ("table_row_count_to_equal", {"value": "3"}, "value", ["found '3'"]),
    # sets
    (SET, {"column": "word"}, "value_set", ["found None", "allowed is a list of values"]),
    (SET, {"column": "word", "value_set": "abc"}, "value_set", ["found 'abc'", "allowed is a list of values"]),
    (SET, {"column": "word", "value_set": ["a", 1]}, "value_set[1]", ["found 1", "allowed is a value of type STRING: a text"]),
    (SET, {"column": "n", "value_set": [1, "2"]}, "value_set[1]", ["found '2'", "allowed is a value of type INT64: a number"]),
    (SET, {"column": "n", "value_set": [1.5]}, "value_set[0]", ["found 1.5", "a whole number of 64 bits"]),
    (SET, {"column": "n", "value_set": [2**63]}, "value_set[0]", ["found 9223372036854775808", "a whole number of 64 bits"]),
    (SET, {"column": "n", "value_set": [True]}, "value_set[0]", ["found True"]),
    (SET, {"column": "money", "value_set": [1e-10]}, "value_set[0]", ["found 1E-10", "29 digits before and 9 after the point"]),
    (SET, {"column": "cost", "value_set": [10**20]}, "value_set[0]", ["20 digits before and 18 after the point"]),
    (SET, {"column": "flag", "value_set": [1]}, "value_set[0]", ["found 1", "allowed is a value of type BOOL: true or false"]),
    (SET, {"column": "day", "value_set": ["2024-13-01"]}, "value_set[0]", ["found '2024-13-01'", "YYYY-MM-DD"]),
    (SET, {"column": "word", "value_set": [["a"]]}, "value_set[0]", ["found ['a']"]),
    (SET, {"column": "tags", "value_set": ["{}"]}, "value_set[0]", ["JSON cannot be compared"]),
    (SET, {"column": "blob", "value_set": ["aa"]}, "value_set[0]", ["BYTES cannot be compared"]),
    # regular expressions
    (MATCH, {"column": "word"}, "regex", ["found None", "allowed is a regular expression"]),
    (MATCH, {"column": "word", "regex": "("}, "regex", ["found '('", "Python's re, which Great Expectations uses, refuses it"]),
    (MATCH, {"column": "word", "regex": "(?=a)"}, "regex", ["found '(?=a)'", "RE2 refuses it: invalid perl operator: (?="]),
    (MATCH, {"column": "word", "regex": r"(a)\1"}, "regex", ["RE2 refuses it", "\\1"]),
    # the rest
    (EQUAL, {"column_A": "n", "column_B": "m", "ignore_row_if": "never"}, "ignore_row_if", ["found 'never'", "allowed are both_values_are_missing, either_value_is_missing, neither"]),
    (COMPOUND, {"column_list": ["n", "m"], "ignore_row_if": "neither"}, "ignore_row_if", ["found 'neither'", "allowed are all_values_are_missing, any_value_is_missing, never"]),
    (EQUAL, {"column_A": "n", "column_B": "m", "ignore_row_if": ["neither"]}, "ignore_row_if", ["found ['neither']"]),
    (GREATER, {"column_A": "n", "column_B": "m", "or_equal": 1}, "or_equal", ["found 1", "allowed are true and false"]),
    ("column_to_exist", {"column": None}, "column", ["found None", "allowed is the name of a column"]),
    ("column_to_exist", {"column": "n", "column_index": 0}, "column_index", ["found 0, which Great Expectations does not look at"]),
    ("column_to_exist", {"column": "n", "column_index": "1"}, "column_index", ["found '1'"]),
    ("table_columns_to_match_set", {"column_set": None}, "column_set", ["found None", "allowed is a list of names"]),
    ("table_columns_to_match_set", {"column_set": ["n"], "exact_match": None}, "exact_match", ["found None"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "kwargs", "kwarg", "words"),
    KWARGS,
    ids=[f"{i}-{type_}-{kwarg}" for i, (type_, _, kwarg, _) in enumerate(KWARGS)],
)
def test_a_kwarg_that_cannot_be_compiled_is_named(
    type_: str, kwargs: dict[str, Any], kwarg: str, words: list[str]
) -> None:
    whole = expect("column_to_exist", column="n")
    violations = refused(whole, expect(type_, **kwargs))
    assert list(violations) == [f"expectations[1].kwargs.{kwarg}"]
    assert [
        word for word in words if word not in violations[f"expectations[1].kwargs.{kwarg}"]
    ] == []


@pytest.mark.parametrize(
    ("type_", "hint"),
    [
        ("expect_column_values_to_be_nul", "did you mean expect_column_values_to_be_null?"),
        ("expect_column_median_to_be_between", "did you mean expect_column_mean_to_be_between?"),
        ("unexpected_rows_expectation", "known are expect_column_max_to_be_between, "),
        ("", "known are expect_column_max_to_be_between, "),
    ],
    ids=["mistyped", "not compiled", "of a query", "empty"],
)
def test_another_expectation_is_refused_by_name(type_: str, hint: str) -> None:
    violations = refused({"type": type_, "kwargs": {}})
    assert list(violations) == ["expectations[0].type"]
    assert f"found {type_!r}, which is not compiled; " in violations["expectations[0].type"]
    assert hint in violations["expectations[0].type"]


@pytest.mark.parametrize(
    "type_", [None, 3, ["a"], {"a": 1}], ids=["null", "number", "list", "object"]
)
def test_a_type_that_is_no_text_is_refused(type_: object) -> None:
    assert list(refused({"type": type_, "kwargs": {}})) == ["expectations[0].type"]


@pytest.mark.parametrize("type_", sorted(EXPECTATIONS))
def test_every_expectation_refuses_a_condition_on_rows(type_: str) -> None:
    violations = refused({"type": type_, "kwargs": {"row_condition": 'col("n") > 1'}})
    assert list(violations) == ["expectations[0].kwargs.row_condition"]


def test_every_wrong_expectation_is_named_at_once() -> None:
    violations = refused(
        expect(NULL, column="gone"),
        expect(NULL, column="n"),
        expect(NULL, column="n", mostly=2),
        {"type": "expect_nothing", "kwargs": {}},
        {**expect(NULL, column="m"), "severity": "fatal"},
    )
    assert list(violations) == [
        "expectations[0].kwargs.column",
        "expectations[2].kwargs.mostly",
        "expectations[3].type",
        "expectations[4].severity",
    ]
