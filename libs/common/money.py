"""Decimal arithmetic that never rounds: Python's own context keeps only 28 digits."""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact
from typing import Final

EXACT: Final = Context(prec=5000, traps=[Inexact])
"""Wide enough for every number that a cell can hold; a sum that would round is an error."""


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum; 0 of nothing."""
    found = Decimal(0)
    for amount in amounts:
        found = EXACT.add(found, amount)
    return found


def difference(one: Decimal, other: Decimal) -> Decimal:
    """Return exactly `one` - `other`."""
    return EXACT.subtract(one, other)


def plain(amount: Decimal) -> str:
    """Return an amount as plain decimal text, without zeros at the end of its fraction."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
