"""Columns that a source hands over in their type land as their texts would."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.casting.cast import cast
from services.ingest.casting.typed import texts_of
from services.ingest.columns import TargetColumn
from services.ingest.sources.source import RawBatch
from tests.support.examples import examples
from tests.unit.ingest.reading import columns, lost
from tests.unit.ingest.working import task, work

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "FLOAT64": st.floats(),
    "BOOL": st.booleans(),
    "NUMERIC": st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}E-9")),
    "NUMERIC(6,2)": st.integers(-(10**15), 10**15).map(lambda n: Decimal(f"{n}E-9")),
    "NUMERIC(5)": st.sampled_from([Decimal(99999), Decimal(100000), Decimal("0.5"), Decimal(-7)]),
    "BIGNUMERIC": st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}E-18")),
    "DATE": st.dates(),
    "DATETIME": st.datetimes(),
    "TIMESTAMP": st.datetimes(timezones=st.just(dt.UTC)),
    "TIME": st.times(),
    "BYTES": st.binary(max_size=4),
    "BYTES(2)": st.binary(max_size=4),
    "STRING REPEATED": st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=3)),
}


@pytest.mark.parametrize("spec", VALUES)
@given(data=st.data())
@settings(deadline=None, max_examples=examples(60))
def test_a_typed_column_lands_as_its_texts_would(spec: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | VALUES[spec], max_size=6))
    column = TargetColumn.parse("c", *spec.split())
    typed = pl.DataFrame({"c": pl.Series(values, dtype=column.dtype)})
    texts = pl.DataFrame({"c": pl.Series(texts_of(typed["c"]), dtype=pl.String)})
    found, expected = cast(typed, [column]), cast(texts, [column])
    if spec.startswith("BYTES"):  # an empty text is null, no bytes are a value
        values = found.frame["c"].to_list()
        assert [None if value == b"" else value for value in values] == expected.frame[
            "c"
        ].to_list()
    else:
        assert found.frame["c"].equals(expected.frame["c"], null_equal=True)
    assert lost(found) == lost(expected)


@pytest.mark.parametrize(
    ("spec", "count", "shown"),
    [
        ("DATE", -719_163, "0000-12-31"),
        ("DATE", 2_932_897, "+10000-01-01"),
        ("TIMESTAMP", -62_135_596_800_000_001, "0000-12-31 23:59:59.999999Z"),
        ("DATETIME", 253_402_300_800_000_000, "+10000-01-01 00:00:00"),
    ],
)
def test_a_time_outside_of_the_years_1_to_9999_does_not_fit_and_is_shown(
    spec: str, count: int, shown: str
) -> None:
    column = TargetColumn.parse("c", spec)
    integer = pl.Int32 if spec == "DATE" else pl.Int64
    frame = pl.DataFrame({"c": pl.Series([count, 0], dtype=integer).cast(column.dtype)})
    found = cast(frame, [column])
    assert found.frame["c"].null_count() == 1
    assert f"found '{shown}'" in lost(found)[0][0]


def test_a_required_typed_column_names_what_is_absent() -> None:
    (column,) = columns("c INT64 REQUIRED")
    frame = pl.DataFrame({"c": pl.Series([1, None], dtype=pl.Int64)})
    assert list(lost(cast(frame, [column]))) == [1]


def test_typed_money_is_counted_by_its_own_digits() -> None:
    schema = columns("cost NUMERIC(5,2)", "n INT64")
    money = [Decimal("1.25"), Decimal("1.255"), Decimal("-3.10"), None]
    frame = pl.DataFrame(
        {"cost": pl.Series(money, dtype=pl.Decimal(38, 9)), "n": ["1", "2", "x", "4"]}
    )
    numbers = pl.int_range(4, dtype=pl.Int64, eager=True)
    batch = RawBatch(rows=frame, row_numbers=numbers, raw_rows=lambda rows: ["{}" for _ in rows])
    done = work(task(schema), batch)
    said = done.tally.money["cost"]
    assert (said.read, said.landed, said.quarantined) == (
        Decimal("-0.595"),
        Decimal("1.25"),
        Decimal("-1.845"),
    )
    assert [(row["cost"], row["cost__text"]) for row in done.quarantined] == [
        (Decimal("1.255"), "1.255"),
        (Decimal("-3.10"), "-3.1"),
    ]
