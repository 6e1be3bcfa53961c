"""Decimals: what fits is exact to the last digit, what does not is named and never changed."""

import decimal
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.money import total
from services.ingest.casting.cast import CastBatch, cast
from services.ingest.columns import TargetColumn
from services.ingest.money import MoneyCells
from tests.support.examples import examples
from tests.unit.ingest.reading import lost

_WIDE = decimal.Context(prec=200)
TYPES = ("NUMERIC", "BIGNUMERIC", "NUMERIC(10,2)", "NUMERIC(5)", "BIGNUMERIC(38,18)")


def cast_texts(type_: str, *texts: str | None) -> CastBatch:
    """Cast texts to one column `m`."""
    frame = pl.DataFrame({"m": pl.Series(list(texts), dtype=pl.String)})
    return cast(frame, [TargetColumn.parse("m", type_)])


@st.composite
def numbers(draw: st.DrawFn, whole: int, fraction: int) -> tuple[Decimal, str]:
    """Return a number of at most so many digits, and one of the texts that write it."""
    before = draw(st.integers(0, 10**whole - 1))
    after = draw(st.integers(0, 10**fraction - 1)) if fraction else 0
    sign = draw(st.sampled_from(["", "-", "+"]))
    plain = f"{before}.{after:0{fraction}d}" if fraction else str(before)
    value = Decimal(("-" if sign == "-" else "") + plain)
    zeros = "0" * draw(st.integers(0, 3))
    shift = draw(st.integers(-25, 25))
    if draw(st.booleans()):
        text = f"{value.copy_abs().scaleb(shift, _WIDE):f}e{-shift:+d}"
    else:
        text = zeros + plain + (("0" * draw(st.integers(0, 5))) if fraction else "")
    blanks = draw(st.sampled_from(["", " ", "\t"]))
    return value, f"{blanks}{sign}{text}{blanks}"


@pytest.mark.parametrize("type_", TYPES)
@given(data=st.data())
@settings(deadline=None, max_examples=examples(50))
def test_any_number_within_the_type_is_exact(type_: str, data: st.DataObject) -> None:
    column = TargetColumn.parse("m", type_)
    drawn = data.draw(
        st.lists(numbers(column.whole_digits, column.fraction_digits), min_size=1, max_size=8)
    )
    found = cast_texts(type_, *(text for _, text in drawn))
    assert found.frame["m"].to_list() == [value for value, _ in drawn]
    assert lost(found) == {}


@given(texts=st.lists(st.text("0123456789.+-eE ,x", max_size=12), min_size=1, max_size=8))
@settings(deadline=None, max_examples=examples(200))
def test_any_text_is_its_very_number_or_nothing_or_named(texts: list[str]) -> None:
    found = cast_texts("BIGNUMERIC", *texts)
    for index, text in enumerate(texts):
        value = found.frame["m"][index]
        if value is not None:
            assert value == Decimal(text.strip())
        elif text.strip():
            assert lost(found)[index] == [
                f"CAST m: found {text!r}; allowed is a number of 20 digits before and 18 after the point"
            ]
        assert (index in lost(found)) == (value is None and text.strip() != "")


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("NUMERIC", "0.0000000001"),
        ("NUMERIC", "100000000000000000000000000000"),
        ("BIGNUMERIC", "0.0000000000000000001"),
        ("BIGNUMERIC", "-100000000000000000000"),
        ("BIGNUMERIC", "1e-19"),
        ("BIGNUMERIC", "1e20"),
        ("NUMERIC(10,2)", "1.234"),
        ("NUMERIC(10,2)", "123456789"),
        ("NUMERIC(5)", "0.5"),
        ("BIGNUMERIC", "nan"),
        ("BIGNUMERIC", "inf"),
        ("BIGNUMERIC", "1,000.50"),
        ("BIGNUMERIC", "12.5 EUR"),
        ("BIGNUMERIC", "$5"),
        ("BIGNUMERIC", "(5)"),
        ("BIGNUMERIC", "--5"),
        ("BIGNUMERIC", "1 0"),
        ("BIGNUMERIC", "0x10"),
        ("BIGNUMERIC", "1_000"),
        ("BIGNUMERIC", "٣"),
        ("BIGNUMERIC", "1e1000"),
        ("BIGNUMERIC", "0" * 201),
    ],
    ids=str,
)
def test_a_number_that_does_not_fit_is_quarantined_as_it_was_found(type_: str, text: str) -> None:
    found = cast_texts(type_, "1", text)
    column = TargetColumn.parse("m", type_)
    assert found.frame["m"].to_list() == [Decimal(1), None]
    allowed = f"{column.whole_digits} digits before and {column.fraction_digits} after the point"
    assert lost(found) == {1: [f"CAST m: found {text[:80]!r}; allowed is a number of {allowed}"]}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1e-19", "0.0000000000000000001"),
        ("123456789012345678901234.5", "123456789012345678901234.5"),
        ("+1.50", "1.5"),
        ("-0.00", "-0"),
        (".5", ".5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("12.5 EUR", None),
        ("", None),
    ],
)
def test_a_number_that_does_not_fit_is_still_counted_as_money(text: str, plain: str | None) -> None:
    assert MoneyCells.of([text]).plain.to_list() == [plain]


@given(
    texts=st.lists(
        st.sampled_from(["1e999", "-1e999", "1e-999", "9" * 200, f"0.{'0' * 197}1", "-5"]),
        max_size=8,
    )
)
@settings(deadline=None, max_examples=examples(100))
def test_numbers_of_any_size_that_a_cell_can_hold_are_summed_exactly(texts: list[str]) -> None:
    assert total(MoneyCells.of(texts).amounts) == total(Decimal(text) for text in texts)
