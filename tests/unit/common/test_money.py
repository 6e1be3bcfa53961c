"""Sums of money are exact, however long."""

from decimal import Decimal, Inexact, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.money import EXACT, difference, total

amounts = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda units: EXACT.scaleb(units, -18))
"""All that 20 digits before and 18 after the point can say."""


@given(st.lists(amounts))
def test_a_sum_is_exact(found: list[Decimal]) -> None:
    assert Fraction(total(found)) == sum(map(Fraction, found))


@given(amounts, amounts)
def test_a_difference_is_exact(one: Decimal, other: Decimal) -> None:
    assert Fraction(difference(one, other)) == Fraction(one) - Fraction(other)


def test_38_digits_are_kept_where_pythons_context_keeps_28() -> None:
    large, small = Decimal(99999999999999999999), Decimal("0.000000000000000001")
    assert total([large, small]) == Decimal("99999999999999999999.000000000000000001")
    assert difference(large, small) == Decimal("99999999999999999998.999999999999999999")
    assert large + small == large


def test_the_sum_of_nothing_is_nothing() -> None:
    assert total([]) == Decimal(0)


def test_the_callers_context_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 2
        assert total([Decimal("1.23"), Decimal("4.56")]) == Decimal("5.79")


def test_a_sum_that_would_round_is_an_error() -> None:
    with pytest.raises(Inexact):
        total([Decimal("1E+6000"), Decimal(1)])
