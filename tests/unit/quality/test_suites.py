"""A suite's document as a whole: its form, its ids, and what becomes of each expectation."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.quality.checks import Aggregate, Column, ColumnThere, Duplicates, Range, RowCheck
from services.quality.expectations import EXPECTATIONS
from services.quality.suites import parse
from tests.unit.quality.suites_of import COLUMNS, expect, refused, suite_of, violations_of

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "configs"
DOCUMENTATION = ROOT / "docs" / "quality.md"
NULL = expect("column_values_to_not_be_null", column="n")


@pytest.mark.parametrize(
    ("document", "field", "words"),
    [
        ("", "suite", "found no JSON that can be read"),
        ("{", "suite", "found no JSON that can be read"),
        ("[]", "suite", "found a list; allowed is an object"),
        ("3", "suite", "found a number; allowed is an object"),
        ('{"name": "s"}', "expectations", "found null; allowed is a list of expectations"),
        ('{"expectations": {}}', "expectations", "found an object; allowed is a list"),
        ('{"expectations": [NaN]}', "suite", "NaN is no JSON number"),
        ('{"expectations": [1e999999999999999999999]}', "suite", "found no JSON"),
        ('{"expectations": ["' + "\\ud800" + '"]}', "suite", "found no JSON"),
        ("[" * 100_000, "suite", "found no JSON"),
        ('{"expectations": [], "expectations": []}', "suite", "'expectations' stands twice"),
        ('{"expectations": [], "name": 3}', "name", "found a number; allowed is a text"),
        ('{"expectations": [], "evaluation_parameters": {}}', "evaluation_parameters", "not known"),
        ('{"expectations": [3]}', "expectations[0]", "found a number; allowed is an object"),
    ],
    ids=[
        "empty", "cut", "a list", "a number", "no expectations", "expectations as object", "NaN",
        "endless number", "half a character", "endless depth", "a key twice", "name as number",
        "unknown key", "expectation as number",
    ],
)  # fmt: skip
def test_a_document_of_another_form_is_refused(document: str, field: str, words: str) -> None:
    violations = violations_of(document)
    assert list(violations) == [field]
    assert words in violations[field]


@pytest.mark.parametrize(
    ("keys", "field", "words"),
    [
        ({"sevrity": "info"}, "sevrity", "found the key 'sevrity', which is not known"),
        ({"severity": "fatal"}, "severity", "found 'fatal'; allowed are critical, warning, info"),
        ({"severity": ["info"]}, "severity", "found ['info']"),
        ({"kwargs": []}, "kwargs", "found a list; allowed is an object"),
        ({"meta": []}, "meta", "found a list; allowed is an object"),
        ({"meta": {"quarantine": "yes"}}, "meta.quarantine", "found 'yes'; allowed are true and"),
        ({"id": 7}, "id", "found 7; allowed is a text"),
        ({"id": ""}, "id", "found ''; allowed is a text"),
    ],
    ids=[
        "unknown key",
        "severity",
        "severity as list",
        "kwargs",
        "meta",
        "quarantine",
        "id",
        "no id",
    ],
)
def test_a_wrong_part_of_an_expectation_is_named(keys: Any, field: str, words: str) -> None:
    violations = refused({**NULL, **keys})
    assert list(violations) == [f"expectations[0].{field}"]
    assert words in violations[f"expectations[0].{field}"]


def test_a_table_rule_cannot_quarantine() -> None:
    rule = {**expect("column_values_to_be_unique", column="n"), "meta": {"quarantine": True}}
    assert list(refused(rule)) == ["expectations[0].meta.quarantine"]


@pytest.mark.parametrize(
    "second",
    [NULL, {**NULL, "severity": "info"}, {**NULL, "id": "other"}, {**NULL, "meta": {"a": 1}}],
    ids=["the same", "of other severity", "of another id", "of other meta"],
)
def test_an_expectation_stands_once(second: dict[str, Any]) -> None:
    violations = refused(NULL, expect("column_to_exist", column="n"), second)
    assert violations == {
        "expectations[2]": (
            "found the same type and kwargs as expectations[0]; allowed is every expectation once"
        )
    }


def test_an_id_stands_once() -> None:
    other = expect("column_values_to_be_null", column="n")
    violations = refused({**NULL, "id": "a"}, {**other, "id": "a"})
    assert violations == {
        "expectations[1].id": "found a, the id of expectations[0]; allowed is an id of its own"
    }


def test_an_id_cannot_be_the_hash_of_another_expectation() -> None:
    (made,) = suite_of(NULL).expectations
    other = {**expect("column_values_to_be_null", column="n"), "id": made.rule_id}
    assert list(refused(NULL, other)) == ["expectations[1].id"]


def test_ids_are_those_of_the_file_or_depend_on_type_and_kwargs_alone() -> None:
    first = suite_of({**NULL, "id": "mine"}, expect("column_to_exist", column="n"))
    again = suite_of(expect("column_to_exist", column="n"), {**NULL, "severity": "info"})
    assert first.expectations[0].rule_id == "mine"
    assert first.expectations[1].rule_id == again.expectations[0].rule_id
    assert len({e.rule_id for e in (*first.expectations, *again.expectations)}) == 3


def test_severity_is_critical_unless_the_suite_says_otherwise() -> None:
    made = suite_of(NULL, {**expect("column_to_exist", column="n"), "severity": "warning"})
    assert [e.severity for e in made.expectations] == ["critical", "warning"]


def test_numbers_are_never_read_as_binary() -> None:
    made = suite_of(
        expect("column_values_to_be_between", column="cost", min_value=0.1, max_value=10**18),
        expect("column_sum_to_be_between", column="cost", max_value=0.3),
    )
    row, table = (e.check for e in made.expectations)
    assert isinstance(row, RowCheck)
    assert isinstance(table, Aggregate)
    assert row.range == Range(min_value="0.1", max_value="1000000000000000000")
    assert table.range == Range(max_value="0.3")
    assert json.loads(made.expectations[0].kwargs, parse_float=Decimal) == {
        "column": "cost",
        "min_value": Decimal("0.1"),
        "max_value": 10**18,
    }


def test_more_digits_than_a_double_has_are_kept_in_what_people_see() -> None:
    document = (
        '{"expectations": [{"type": "expect_column_values_to_be_between",'
        ' "kwargs": {"column": "cost", "max_value": 0.1234567890123456789}}]}'
    )
    (made,) = parse(document, COLUMNS).expectations
    assert json.loads(made.kwargs)["max_value"] == "0.1234567890123456789"


@pytest.mark.parametrize(
    ("index", "there"),
    [(None, True), (1, False), (2, True), (-12, True), (-1, False), (99, False), (-99, False)],
)
def test_a_column_exists_at_its_place(index: int | None, there: bool) -> None:
    kwargs = {"column": "money"} | ({} if index is None else {"column_index": index})
    (made,) = suite_of(expect("column_to_exist", **kwargs)).expectations
    assert made.check == ColumnThere(column="money", success=there)


def test_repeated_columns_count_as_columns() -> None:
    names = [column.name for column in COLUMNS]
    made = suite_of(
        expect("column_to_exist", column="labels"),
        expect("table_columns_to_match_set", column_set=names),
    )
    assert [getattr(e.check, "success", None) for e in made.expectations] == [True, True]


def test_duplicates_know_the_types_of_their_columns() -> None:
    (made,) = suite_of(
        expect("compound_columns_to_be_unique", column_list=["n", "ratio"])
    ).expectations
    assert isinstance(made.check, Duplicates)
    assert made.check.columns == (
        Column(name="n", type="INT64"),
        Column(name="ratio", type="FLOAT64"),
    )


@pytest.mark.parametrize(
    "path",
    sorted(EXAMPLES.glob("*/suites/*.json")),
    ids=lambda path: f"{path.parent.parent.name}-{path.stem}",
)
def test_every_shipped_suite_compiles_against_its_schema(path: Path) -> None:
    schema = json.loads((path.parent.parent / "schemas" / path.name).read_text())
    columns = [
        Column(
            name=field["name"],
            type=field["type"].partition("(")[0],
            repeated=field.get("mode") == "REPEATED",
        )
        for field in schema
    ]
    document = path.read_text()
    made = parse(document, columns)
    assert len(made.expectations) == len(json.loads(document)["expectations"]) > 0


def test_the_suite_in_the_documentation_compiles() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    (document,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    usage = json.loads((EXAMPLES / "acme_corp" / "schemas" / "openai_usage.json").read_text())
    columns = [Column(name=field["name"], type=field["type"].partition("(")[0]) for field in usage]
    made = parse(document, columns)
    assert [(e.severity, e.quarantines) for e in made.expectations] == [
        ("critical", False),
        ("warning", True),
        ("info", False),
    ]


def test_the_documentation_lists_what_is_compiled() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    table = text.partition("## What is supported")[2].partition("### Where")[0]
    named = re.findall(r"`((?:column|compound|table)_[a-z_]+_(?:[a-z]+))`", table)
    listed = {f"expect_{name}" for name in named if f"expect_{name}" in EXPECTATIONS}
    assert listed == set(EXPECTATIONS)
