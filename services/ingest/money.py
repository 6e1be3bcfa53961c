"""Sums of money by where it went: exact, by the source's own text."""

import dataclasses
from collections.abc import Iterable, Sequence
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from libs.common.money import total
from services.ingest.casting.exact import decimal_text, to_decimal, trimmed
from services.ingest.columns import TargetColumn

LONGEST_TEXT = 4096
"""Characters of a money cell that quarantine keeps: a number has no more than 200."""


@dataclasses.dataclass(frozen=True, slots=True)
class MoneyCells:
    """Cells of a money column as the source has them, those of a few rows."""

    texts: pl.Series
    plain: pl.Series
    """(n,) Numbers as plain decimal texts, whatever fits the column; null where a cell is none."""

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> "MoneyCells":
        cells = pl.Series(list(texts), dtype=pl.String)
        return cls(cells, decimal_text(trimmed(cells)))

    @property
    def amounts(self) -> list[Decimal]:
        """The numbers among them."""
        return [Decimal(text) for text in self.plain.drop_nulls()]

    @property
    def unparsable_count(self) -> int:
        """How many are there and no number."""
        return int((trimmed(self.texts).is_not_null() & self.plain.is_null()).sum())

    def columns(self, name: str) -> tuple[pl.Series, pl.Series]:
        """Return the two columns that quarantine has for a money column."""
        number = to_decimal(self.plain, TargetColumn.parse(name, "BIGNUMERIC"))
        return number.alias(name), self.texts.str.head(LONGEST_TEXT).alias(f"{name}__text")


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

    def read_cells(self, typed: pl.Series, misfits: Sequence[str | None]) -> None:
        """Count a batch as it was read.

        Args:
            typed: (n,) the cells that fit, null elsewhere.
            misfits: Texts of the others.
        """
        odd = MoneyCells.of(misfits).amounts if misfits else []
        self.read = total((self.read, sum_typed(typed), *odd))

    def land(self, typed: pl.Series) -> None:
        """Count the cells of rows that land."""
        self.landed = total((self.landed, sum_typed(typed)))

    def lose(self, cells: MoneyCells) -> None:
        """Count the cells of rows that are quarantined."""
        self.quarantined = total((self.quarantined, *cells.amounts))
        self.quarantined_row_count += sum(map(bool, cells.amounts))
        self.unparsable_count += cells.unparsable_count


def sum_typed(values: pl.Series) -> Decimal:
    """Return the exact sum of a Decimal column, in as many digits as it takes."""
    assert isinstance(values.dtype, pl.Decimal)
    least, most = values.min(), values.max()
    if not isinstance(least, Decimal) or not isinstance(most, Decimal):
        return Decimal(0)
    scale = values.dtype.scale
    if max(abs(least), abs(most)) * len(values) < Decimal(10) ** (37 - scale):
        return Decimal(str(values.sum()))
    wide = values.to_arrow().cast(pa.decimal256(76, scale))
    return Decimal(pc.sum(wide).as_py())


def tallies(columns: Sequence[TargetColumn]) -> dict[str, MoneyTally]:
    """Return empty tallies of the money columns."""
    return {column.name: MoneyTally(column.name) for column in columns if column.money}
