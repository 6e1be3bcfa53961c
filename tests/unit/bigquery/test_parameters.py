import datetime as dt
from decimal import Decimal

import pytest
from google.cloud import bigquery

from libs.bigquery.parameters import Typed, query_parameters

DAY = dt.date(2026, 1, 2)
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("x", "STRING"),
        (True, "BOOL"),
        (7, "INT64"),
        (Decimal("1.5"), "BIGNUMERIC"),
        (DAY, "DATE"),
        (NOON, "TIMESTAMP"),
        (Typed("DATETIME", NOON.replace(tzinfo=None)), "DATETIME"),
        (Typed("STRING", None), "STRING"),
    ],
)
def test_a_value_tells_its_type_or_is_told_it(value: object, type_: str) -> None:
    (parameter,) = query_parameters({"p": value})
    assert isinstance(parameter, bigquery.ScalarQueryParameter)
    assert (parameter.name, parameter.type_) == ("p", type_)


def test_a_list_becomes_an_array_of_its_items_type() -> None:
    (days,) = query_parameters({"days": [DAY, DAY]})
    assert isinstance(days, bigquery.ArrayQueryParameter)
    assert (days.array_type, days.values) == ("DATE", [DAY, DAY])


def test_an_empty_list_needs_its_type() -> None:
    with pytest.raises(TypeError, match="parameter days: a list must hold one type, found nothing"):
        query_parameters({"days": []})
    (days,) = query_parameters({"days": Typed("DATE", [])})
    assert isinstance(days, bigquery.ArrayQueryParameter)
    assert days.values == []


@pytest.mark.parametrize("value", [None, 0.1, b"x", [1, "x"], NOON.replace(tzinfo=None), [None]])
def test_a_value_that_leaves_its_type_open_is_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match=r"parameter p: .*Typed"):
        query_parameters({"p": value})
