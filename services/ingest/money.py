"""Sums of money by where it went: exact, by the source's own text."""

import dataclasses
from collections.abc import Iterable, Sequence
from decimal import Decimal

import polars as pl

from libs.common.money import total
from services.ingest.casting.types import trimmed
from services.ingest.columns import TargetColumn


def exact_sum(texts: Iterable[str | None]) -> Decimal:
    """Return the sum of plain decimal texts; nulls are nothing."""
    return total(Decimal(text) for text in texts if text is not None)


@dataclasses.dataclass(slots=True)
class MoneyTally:
    """Sums of one column over a chunk. `read` is counted before rows are told apart."""

    column: str
    read: Decimal = Decimal(0)
    landed: Decimal = Decimal(0)
    quarantined: Decimal = Decimal(0)
    unparsable_count: int = 0
    quarantined_row_count: int = 0
    """Quarantined rows whose number is not 0."""

    def add(self, plain: pl.Series, cells: pl.Series, lands: pl.Series, typed: pl.Series) -> None:
        """Count a batch.

        Args:
            plain: (n,) numbers as plain text, null where the cell is no number.
            cells: (n,) the source's texts.
            lands: (n,) which rows land.
            typed: (n,) the column as it lands.
        """
        self.read = total((self.read, exact_sum(plain)))
        self.landed = total((self.landed, sum_typed(typed.filter(lands))))
        lost = ~lands
        away = [Decimal(text) for text in plain.filter(lost).drop_nulls()]
        self.quarantined = total((self.quarantined, *away))
        self.quarantined_row_count += sum(map(bool, away))
        there = pl.select(trimmed(pl.lit(cells))).to_series().is_not_null()
        self.unparsable_count += int((lost & there & plain.is_null()).sum())


def sum_typed(values: pl.Series) -> Decimal:
    """Return the exact sum of a Decimal column: whole and fraction apart, so that nothing overflows."""
    found = values.drop_nulls()
    if not len(found):
        return Decimal(0)
    largest = found.abs().max()
    if isinstance(largest, Decimal) and largest * len(found) < Decimal(10) ** 18:
        return Decimal(str(found.sum()))
    return exact_sum(str(value) for value in found.to_list())


def tallies(columns: Sequence[TargetColumn]) -> dict[str, MoneyTally]:
    """Return empty tallies of the money columns."""
    return {column.name: MoneyTally(column.name) for column in columns if column.money}
