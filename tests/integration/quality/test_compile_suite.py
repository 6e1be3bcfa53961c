"""CompileSuite over real gRPC: what every expectation becomes, and each documented failure."""

from __future__ import annotations

from typing import Any

import pytest
from convergence.quality.v1 import quality_service_pb2 as pb
from convergence.quality.v1 import suite_pb2
from google.protobuf import json_format

from tests.integration.quality.conftest import InMemory
from tests.integration.quality.serving import (
    PIPELINE,
    RUN,
    columns,
    compiling,
    document,
    expect,
)
from tests.support.refusals import refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLUMNS = columns(n="INT64", m="INT64", money="NUMERIC", word="STRING", day="DATE", tags="JSON")
NOT_NULL = expect("column_values_to_not_be_null", column="n", mostly=0.5)

# type, kwargs, what the row rule has besides id, type and quarantine
ROW_RULES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("column_values_to_not_be_null", {"column": "tags"}, {"notBeNull": {"column": "tags"}}),
    ("column_values_to_be_null", {"column": "n"}, {"beNull": {"column": "n"}}),
    (
        "column_values_to_be_in_set",
        {"column": "money", "value_set": [0.1, None, 2]},
        {"beInSet": {"column": "money", "values": ["0.1", "2"]}},
    ),
    (
        "column_values_to_not_be_in_set",
        {"column": "day", "value_set": ["20240229"]},
        {"notBeInSet": {"column": "day", "values": ["2024-02-29"]}},
    ),
    (
        "column_values_to_be_between",
        {"column": "money", "min_value": 0, "strict_min": True},
        {"beBetween": {"column": "money", "range": {"minValue": "0", "strictMin": True}}},
    ),
    (
        "column_value_lengths_to_be_between",
        {"column": "word", "max_value": 3, "strict_max": True},
        {"valueLengthsBetween": {"column": "word", "range": {"maxValue": "3", "strictMax": True}}},
    ),
    (
        "column_values_to_match_regex",
        {"column": "word", "regex": "^[A-Z]{3}$"},
        {"matchRegex": {"column": "word", "regex": r"^[A-Z]{3}(?:\n?\z)"}},
    ),
    (
        "column_values_to_not_match_regex",
        {"column": "word", "regex": "a{,2}b"},
        {"notMatchRegex": {"column": "word", "regex": "a{0,2}b"}},
    ),
    (
        "column_pair_values_a_to_be_greater_than_b",
        {"column_A": "n", "column_B": "money", "or_equal": True, "ignore_row_if": "neither"},
        {
            "pairGreater": {
                "columnA": "n",
                "columnB": "money",
                "orEqual": True,
                "ignore": "IGNORE_ROW_IF_NEITHER",
            }
        },
    ),
    (
        "column_pair_values_to_be_equal",
        {"column_A": "n", "column_B": "m"},
        {
            "pairEqual": {
                "columnA": "n",
                "columnB": "m",
                "ignore": "IGNORE_ROW_IF_BOTH_VALUES_ARE_MISSING",
            }
        },
    ),
    (
        "column_pair_values_to_be_equal",
        {"column_A": "n", "column_B": "m", "ignore_row_if": "either_value_is_missing"},
        {
            "pairEqual": {
                "columnA": "n",
                "columnB": "m",
                "ignore": "IGNORE_ROW_IF_EITHER_VALUE_IS_MISSING",
            }
        },
    ),
]


async def compiled(in_memory: InMemory, *expectations: dict[str, Any]) -> suite_pb2.CompiledSuite:
    return await in_memory.quality.compile(compiling(document(*expectations), COLUMNS))


@pytest.mark.parametrize(
    ("type_", "kwargs", "rule"),
    ROW_RULES,
    ids=[f"{i}-{type_}" for i, (type_, _, _) in enumerate(ROW_RULES)],
)
async def test_an_expectation_about_rows_becomes_a_rule_of_the_workers(
    in_memory: InMemory, type_: str, kwargs: dict[str, Any], rule: dict[str, Any]
) -> None:
    suite = await compiled(in_memory, {**expect(type_, **kwargs), "id": "mine"})
    assert json_format.MessageToDict(suite) == {
        "suite": "s",
        "rowRules": [{"ruleId": "mine", "expectationType": f"expect_{type_}", **rule}],
    }


async def test_rules_of_rows_may_quarantine(in_memory: InMemory) -> None:
    meta = {"quarantine": True, "notes": "kept"}
    suite = await compiled(in_memory, {**NOT_NULL, "meta": meta})
    assert [rule.quarantines for rule in suite.row_rules] == [True]


async def test_rules_of_tables_keep_the_suites_order_and_schemas_need_no_rule(
    in_memory: InMemory,
) -> None:
    types: list[tuple[str, dict[str, Any]]] = [
        ("column_to_exist", {"column": "n"}),
        ("column_values_to_be_unique", {"column": "n"}),
        ("table_row_count_to_equal", {"value": 3}),
        ("column_values_to_be_null", {"column": "n"}),
        ("compound_columns_to_be_unique", {"column_list": ["n", "day"]}),
        ("table_columns_to_match_set", {"column_set": ["n"]}),
        ("table_row_count_to_be_between", {"min_value": 1}),
        ("column_sum_to_be_between", {"column": "money", "min_value": 1}),
        ("column_mean_to_be_between", {"column": "money", "min_value": 1}),
        ("column_min_to_be_between", {"column": "day", "min_value": "2024-01-01"}),
        ("column_max_to_be_between", {"column": "n", "max_value": 1}),
    ]
    suite = await compiled(in_memory, *(expect(type_, **kwargs) for type_, kwargs in types))
    elsewhere = {"column_to_exist", "column_values_to_be_null", "table_columns_to_match_set"}
    assert [rule.expectation_type for rule in suite.table_rules] == [
        f"expect_{type_}" for type_, _ in types if type_ not in elsewhere
    ]
    assert [rule.expectation_type for rule in suite.row_rules] == [
        "expect_column_values_to_be_null"
    ]
    assert len({rule.rule_id for rule in suite.table_rules}) == 8


@pytest.mark.parametrize("parent", [PIPELINE, RUN], ids=["a pipeline", "a run"])
async def test_compiling_again_gives_the_same(in_memory: InMemory, parent: str) -> None:
    request = compiling(document(NOT_NULL), COLUMNS, parent)
    assert await in_memory.quality.compile(request) == await in_memory.quality.compile(request)


async def test_an_empty_suite_compiles_to_nothing(in_memory: InMemory) -> None:
    assert await compiled(in_memory) == suite_pb2.CompiledSuite(suite="s")


async def test_every_wrong_field_is_named(in_memory: InMemory) -> None:
    request = compiling(document(), [], "pipelines/p")
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await in_memory.quality.compile(request)
    assert refusal.fields == ["columns", "parent"]
    assert "found none; give the columns of the target table" in str(refusal.error)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (columns(n="INTEGER"), "column n is 'INTEGER'; allowed are BIGNUMERIC, BOOL, BYTES, "),
        ([*columns(n="INT64"), *columns(N="INT64")], "found 'n'; allowed is each name once"),
        (columns(**{"": "INT64"}), "found ''; allowed is each name once"),
    ],
    ids=["another type", "a name twice", "no name"],
)
async def test_columns_that_no_table_has_are_refused(
    in_memory: InMemory, given: list[pb.SuiteColumn], words: str
) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await in_memory.quality.compile(compiling(document(), given))
    assert refusal.fields == ["columns"]
    assert words in str(refusal.error)


async def test_what_cannot_be_compiled_is_named_by_its_path_in_the_file(
    in_memory: InMemory,
) -> None:
    suite = document(
        expect("column_values_to_be_in_set", column="n", value_set=[1, "2"]),
        expect("column_values_to_not_be_null", column="n", row_condition="n > 1"),
        expect("column_values_to_not_be_null", column="gone"),
        expect("column_median_to_be_between", column="n"),
        expect("column_values_to_match_regex", column="word", regex="(?=a)"),
    )
    with refused("INVALID_ARGUMENT", "SUITE_INVALID") as refusal:
        await in_memory.quality.compile(compiling(suite, COLUMNS))
    assert refusal.metadata == {"expectation": "expectations[0].kwargs.value_set[1]"}
    assert refusal.fields == [
        "expectations[0].kwargs.value_set[1]",
        "expectations[1].kwargs.row_condition",
        "expectations[2].kwargs.column",
        "expectations[3].type",
        "expectations[4].kwargs.regex",
    ]
