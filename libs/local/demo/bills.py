"""What a bill in the FOCUS format says, added up from its text."""

import csv
import dataclasses
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from libs.common.money import total

COST: Final = "BilledCost"


class BillUnusable(Exception):
    """The file is no FOCUS bill; the text says why and what to do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill: its rows, and the sum of BilledCost over those cells that are numbers."""

    file: Path
    row_count: int
    total: Decimal


def read_bill(file: Path) -> Bill:
    """Return what `file` says; raise BillUnusable if it is no CSV file with a BilledCost column."""
    if file.suffix != ".csv":
        raise BillUnusable(f"{file} is no .csv file; give a FOCUS bill as CSV")
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            rows = csv.DictReader(opened)
            if COST not in (rows.fieldnames or ()):
                raise BillUnusable(f"{file} has no column {COST}; give a FOCUS bill as CSV")
            cells = [row[COST] for row in rows]
    except (OSError, UnicodeDecodeError) as error:
        raise BillUnusable(f"{file} cannot be read: {error}") from error
    return Bill(file=file, row_count=len(cells), total=total(map(_amount, cells)))


def _amount(text: str | None) -> Decimal:
    try:
        found = Decimal(text or "")
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() else Decimal(0)


def plain(amount: Decimal) -> str:
    """Return exact decimal text without exponent and trailing zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
