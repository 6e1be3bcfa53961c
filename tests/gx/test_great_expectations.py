"""Convergence judges as Great Expectations 1.24.1 does, case by case of what was recorded."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.gx.cases import cases, tables
from tests.gx.replay import Replay, Result, recorded, replaying, suite_columns
from tests.integration.quality.serving import compiling, document
from tests.support.engine import Engine
from tests.support.refusals import refused

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "quality.md"
RECORDED = recorded()
CASES: list[dict[str, Any]] = RECORDED["cases"]
TABLES = {table.name: table for table in RECORDED["tables"]}
JUDGED = [i for i, case in enumerate(CASES) if "refused" not in case]
REFUSED = [i for i, case in enumerate(CASES) if "refused" in case]
SAME = [i for i in JUDGED if "exact" not in CASES[i]]
EXACT = [i for i in JUDGED if "exact" in CASES[i]]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcomes:
    """What Convergence said, by number of the case: results, and fields that were refused."""

    results: dict[int, Result]
    refusals: dict[int, list[str]]


@pytest.fixture(scope="module")
def outcomes(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return asyncio.run(_replay(engine, tmp_path_factory.mktemp("gx")))


async def _replay(engine: Engine, folder: Path) -> Outcomes:
    found = Outcomes({}, {})
    async with replaying(engine, folder) as replay:
        for name, table in TABLES.items():
            numbers = [i for i in JUDGED if CASES[i]["table"] == name]
            results = await replay.results(table, [_item(i) for i in numbers])
            found.results.update(zip(numbers, results, strict=True))
        for i in REFUSED:
            found.refusals[i] = await _refusal(replay, i)
    return found


async def _refusal(replay: Replay, number: int) -> list[str]:
    columns = suite_columns(TABLES[CASES[number]["table"]])
    request = compiling(document(_item(number)), columns)
    with refused("INVALID_ARGUMENT", "SUITE_INVALID") as refusal:
        await replay.quality.compile(request)
    return refusal.fields


def _item(number: int) -> dict[str, Any]:
    return {key: CASES[number][key] for key in ("type", "kwargs")}


def _name(number: int) -> str:
    return f"{number}-{CASES[number]['table']}-{CASES[number]['type'].removeprefix('expect_')}"


def test_the_recorded_cases_are_those_that_the_seed_gives() -> None:
    asked = [{key: value for key, value in case.items() if key != "said"} for case in CASES]
    given = [
        {key: value for key, value in dataclasses.asdict(case).items() if value is not None}
        for case in cases()
    ]
    assert json.loads(json.dumps(given)) == asked
    assert tables() == list(TABLES.values())
    assert RECORDED["great_expectations"] == "1.24.1"


@pytest.mark.parametrize("number", SAME, ids=_name)
def test_verdict_counts_and_value_equal_great_expectations(outcomes: Outcomes, number: int) -> None:
    said, result = CASES[number]["said"], outcomes.results[number]
    counts = {
        key: getattr(result, key)
        for key in ("element_count", "missing_count", "unexpected_count")
        if key in said
    }
    wanted = {key: value for key, value in said.items() if key.endswith("_count")}
    assert (result.success, counts) == (said["success"], wanted)
    assert result.HasField("unexpected_count") == ("unexpected_count" in said)
    if "observed_value" in said:
        assert _observed(result) == _said(result, said["observed_value"])


@pytest.mark.parametrize("number", EXACT, ids=_name)
def test_verdict_is_exact_where_great_expectations_is_not(outcomes: Outcomes, number: int) -> None:
    case = CASES[number]
    assert case["said"]["success"] is not case["exact"]
    assert outcomes.results[number].success is case["exact"]


@pytest.mark.parametrize("why", sorted({CASES[number]["why"] for number in EXACT}))
def test_the_documentation_says_where_the_two_differ(why: str) -> None:
    assert why in DOCUMENTATION.read_text(encoding="utf-8")


@pytest.mark.parametrize("number", REFUSED, ids=_name)
def test_what_great_expectations_raises_for_is_refused_by_its_field(
    outcomes: Outcomes, number: int
) -> None:
    (field,) = outcomes.refusals[number]
    assert field.removeprefix("expectations[0].kwargs.") == CASES[number]["refused"]


def _observed(result: Result) -> object:
    if not result.HasField("observed_value"):
        return None
    if result.expectation_type == "expect_table_columns_to_match_set":
        return sorted(result.observed_value.split(", "))
    return _plain(result.observed_value)


def _said(result: Result, value: object) -> object:
    return value if value is None or isinstance(value, list) else _plain(str(value))


def _plain(text: str) -> object:
    """Return a number as a number, a moment without its blank, anything else as it is."""
    try:
        number = float(Decimal(text))
    except ArithmeticError:
        return text.replace(" ", "T")
    return math.nan if math.isnan(number) else number
