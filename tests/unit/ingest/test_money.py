"""Money: what landed and what was quarantined is, to the last digit, what the source says."""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.money import total
from services.ingest.ingestion import Tally
from services.ingest.messages import result_message
from services.ingest.money import MoneyTally, sum_typed, tallies
from tests.support.examples import examples
from tests.unit.ingest.reading import columns
from tests.unit.ingest.working import batch, task, work

COLUMNS = columns("n INT64", "cost BIGNUMERIC", "price NUMERIC(12,4)")
WORDS = ("12.5 EUR", "1,000", "n/a", "-", "nan")


@st.composite
def amounts(draw: st.DrawFn) -> str | None:
    """Return the text of a money cell: of up to 18 decimals, too long, none, or nothing."""
    kind = draw(st.sampled_from(["fits", "fits", "fits", "too fine", "too large", "word", "none"]))
    whole, fraction = draw(st.integers(-(10**20) + 1, 10**20 - 1)), draw(st.integers(0, 10**18 - 1))
    return {
        "fits": f"{whole}.{fraction:018d}".rstrip("0"),
        "too fine": f"0.{fraction:018d}1",
        "too large": f"{whole}e21",
        "word": draw(st.sampled_from(WORDS)),
        "none": draw(st.sampled_from([None, "", " "])),
    }[kind]


ROWS = st.lists(
    st.tuples(st.sampled_from(["1", "2.0", "x", "", None]), amounts(), amounts()), max_size=25
)


def numbers(texts: Sequence[str | None]) -> list[Decimal]:
    """Return the numbers among a source's texts."""
    given_texts = [text.strip() for text in texts if text is not None]
    return [Decimal(text) for text in given_texts if text and text not in WORDS]


@given(rows=ROWS, cut=st.integers(0, 25))
@settings(deadline=None, max_examples=examples(60))
def test_landed_and_quarantined_money_is_the_sum_over_the_sources_texts(
    rows: list[tuple[str | None, str | None, str | None]], cut: int
) -> None:
    done = work(task(COLUMNS), batch(COLUMNS, *rows[:cut]), batch(COLUMNS, *rows[cut:], first=cut))
    for index, name in enumerate(["cost", "price"], 1):
        said = done.tally.money[name]
        source = total(numbers([row[index] for row in rows]))
        assert said.read == source
        assert total((said.landed, said.quarantined)) == source


@given(rows=ROWS)
@settings(deadline=None, max_examples=examples(40))
def test_sums_of_a_chunk_are_those_of_its_streams(
    rows: list[tuple[str | None, str | None, str | None]],
) -> None:
    done = work(task(COLUMNS), batch(COLUMNS, *rows))
    for name in ("cost", "price"):
        said = done.tally.money[name]
        assert said.landed == total(row[name] for row in done.landed if row[name] is not None)
        texts = [row[f"{name}__text"] for row in done.quarantined]
        assert said.quarantined == total(numbers(texts))
        words = [text for text in texts if text in WORDS]
        assert said.unparsable_count == len(words)
        assert said.quarantined_row_count == sum(number != 0 for number in numbers(texts))


def test_rows_whose_amounts_add_up_to_nothing_are_counted_all_the_same() -> None:
    rows = [("x", "5", None), ("x", "-5.00", "0.000"), ("x", "0e3", "7"), ("1", "9", "9")]
    money = work(task(COLUMNS), batch(COLUMNS, *rows[:1]), batch(COLUMNS, *rows[1:])).tally.money
    assert (money["cost"].quarantined, money["cost"].quarantined_row_count) == (Decimal(0), 2)
    assert (money["price"].quarantined, money["price"].quarantined_row_count) == (Decimal(7), 1)


@given(rows=ROWS)
@settings(deadline=None, max_examples=examples(25))
def test_a_cell_that_is_no_number_never_lands(
    rows: list[tuple[str | None, str | None, str | None]],
) -> None:
    done = work(task(COLUMNS), batch(COLUMNS, *rows))
    words = [i for i, row in enumerate(rows) if row[1] in WORDS or row[2] in WORDS]
    assert set(words) <= {row["_row_number"] for row in done.quarantined}


def test_a_sum_beyond_what_a_column_holds_is_exact() -> None:
    most = Decimal("99999999999999999999.999999999999999999")
    values = pl.Series([most] * 1000 + [None], dtype=pl.Decimal(38, 18))
    assert sum_typed(values) == total([most] * 1000)


@given(st.lists(st.integers(-(10**38) + 1, 10**38 - 1), max_size=20))
@settings(deadline=None, max_examples=examples(100))
def test_a_sum_of_any_values_is_exact(units: list[int]) -> None:
    values = [Decimal(f"{unit}E-18") for unit in units]
    assert sum_typed(pl.Series(values, dtype=pl.Decimal(38, 18))) == total(values)


@pytest.mark.parametrize(
    ("spec", "counted"),
    [("NUMERIC", True), ("BIGNUMERIC(38,18)", True), ("FLOAT64", False), ("INT64", False)],
)
def test_exact_decimals_are_money_and_nothing_else_is(spec: str, counted: bool) -> None:
    assert (list(tallies(columns(f"m {spec}"))) == ["m"]) is counted


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1.500000000000000000", "1.5"), ("0E-18", "0"), ("100", "100"), ("-20.50", "-20.5"), ("1E+3", "1000")],
)  # fmt: skip
def test_sums_travel_as_plain_decimals_without_zeros_at_the_end(amount: str, text: str) -> None:
    tally = Tally(money={"cost": MoneyTally("cost", read=Decimal(amount))})
    (money,) = result_message(tally).money
    assert money.read == text
