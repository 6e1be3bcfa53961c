"""Compiled rules as workers evaluate them: cut anywhere, the counts add up to the same."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from services.ingest.columns import TargetColumn
from services.ingest.rules import Predicate, Rule, evaluate, samples

COLUMNS = {
    name: TargetColumn.parse(name, type_)
    for name, type_ in (
        ("f", "FLOAT64"),
        ("g", "FLOAT64"),
        ("m", "NUMERIC(10, 2)"),
        ("s", "STRING"),
    )
}


def rule(predicate: Predicate, *names: str, **fields: Any) -> Rule:
    return Rule(
        rule_id="r", expectation_type="expect", predicate=predicate, columns=names, **fields
    )


def frame(**values: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(values, schema={name: COLUMNS[name].dtype for name in values})


@pytest.mark.parametrize(
    ("judged", "unexpected", "missing"),
    [
        (rule(Predicate.NOT_BE_NULL, "f"), [False, True, True, False], 0),
        (rule(Predicate.BE_NULL, "f"), [True, False, False, True], 0),
        (rule(Predicate.BE_BETWEEN, "f", min_value="0"), [False, False, False, False], 2),
        (rule(Predicate.BE_BETWEEN, "f", max_value="2"), [False, False, False, True], 2),
        (rule(Predicate.NOT_BE_IN_SET, "f", values=("1.5",)), [True, False, False, False], 2),
        (rule(Predicate.PAIR_EQUAL, "f", "g"), [False, False, True, True], 1),
        (rule(Predicate.PAIR_GREATER, "f", "g", or_equal=True), [False, False, True, False], 1),
    ],
    ids=["not null", "null", "from", "to", "not in set", "equal", "greater"],
)
def test_nan_is_a_missing_value(judged: Rule, unexpected: list[bool], missing: int) -> None:
    rows = frame(f=[1.5, math.nan, None, math.inf], g=[1.5, None, 1.0, 1.0])
    found = evaluate(judged, rows, COLUMNS)
    assert (found.unexpected.to_list(), found.missing_count) == (unexpected, missing)


def test_a_bound_may_have_more_digits_than_the_column_is_declared_with() -> None:
    judged = rule(Predicate.BE_BETWEEN, "m", min_value="0.005", max_value="123456789012.5")
    rows = frame(m=[Decimal(0), Decimal("0.01"), Decimal("99999999.99")])
    assert evaluate(judged, rows, COLUMNS).unexpected.to_list() == [True, False, False]


def test_samples_show_decimals_without_the_zeros_of_their_scale() -> None:
    rows = frame(m=[Decimal(0), Decimal("1.50"), Decimal(100), Decimal("0.000000001")])
    judged = rule(Predicate.BE_NULL, "m")
    shown = samples(rows, judged, evaluate(judged, rows, COLUMNS).unexpected)
    assert shown == ["0", "1.5", "100", "0.000000001"]


@pytest.mark.parametrize("seed", range(5))
def test_counts_of_parts_add_up_to_those_of_the_whole(seed: int) -> None:
    chance = random.Random(seed)
    values = [chance.choice([None, 0.5, 1.5, math.nan, 2.5]) for _ in range(60)]
    judged = rule(Predicate.BE_BETWEEN, "f", min_value="1", max_value="2")
    whole = evaluate(judged, frame(f=values), COLUMNS)
    cuts = sorted(chance.randrange(61) for _ in range(4))
    parts = [
        evaluate(judged, frame(f=values[a:b]), COLUMNS)
        for a, b in zip([0, *cuts], [*cuts, 60], strict=True)
    ]
    assert [v for part in parts for v in part.unexpected.to_list()] == whole.unexpected.to_list()
    assert sum(part.missing_count for part in parts) == whole.missing_count
