"""Where records of delimited text begin and end, exactly, however quotes and newlines mix.

RFC 4180 doubles a quote inside a field, so a byte is outside quotes exactly when the number of
quote characters before it is even. Everything here works on positions of single bytes. A quote or
carriage return that RFC 4180 does not allow makes the record that it stands in a bad one.
"""

import dataclasses
from typing import Final, Self

import polars as pl
import pyarrow as pa

NEWLINE: Final = 10
_RETURN: Final = 13
_NONE: Final = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One-byte delimiter and quote character of a file."""

    delimiter: str = ","
    quote: str = '"'

    @classmethod
    def parse(cls, delimiter: str, quote: str) -> Self:
        """Read the options of a source, empty meaning the default; raise ValueError."""
        made = cls(delimiter=delimiter or ",", quote=quote or '"')
        for name, found in (("delimiter", made.delimiter), ("quote", made.quote)):
            if len(found) != 1 or not found.isascii() or found in "\r\n\0":
                raise ValueError(f"{name}: found {found!r}; allowed is one ASCII character")
        if made.delimiter == made.quote:
            raise ValueError(f"delimiter and quote are both {made.quote!r}; choose two characters")
        return made


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Records found in a block, in order.

    starts, ends: (n,) positions of each record's first byte and of the byte after its text, line
        break not included.
    cells: (n,) how many cells each has by its delimiters.
    blank: (n,) whether the line is empty: then it is no record.
    bad: (n,) whether a quote or carriage return stands where RFC 4180 allows none.
    complete_bytes: Bytes up to and with the last line break outside quotes.
    """

    starts: pl.Series
    ends: pl.Series
    cells: pl.Series
    blank: pl.Series
    bad: pl.Series
    complete_bytes: int

    @property
    def count(self) -> int:
        """How many records there are, blank lines left out."""
        return len(self.blank) - int(self.blank.sum())


def bytes_series(block: bytes | memoryview) -> pl.Series:
    """Return a block as UInt8 without copying it."""
    array = pa.Array.from_buffers(pa.uint8(), len(block), [None, pa.py_buffer(block)])
    return pl.Series(values=array)


def find_records(
    block: bytes, dialect: Dialect, *, last: bool, count_cells: bool = True
) -> Records:
    """Find the records of a block that begins at a record's start.

    Args:
        block: Bytes of the file.
        dialect: Of the file.
        last: Whether the file ends with the block: then bytes after the last line break are a
            record too, a bad one if a quote is open.
        count_cells: Whether `cells` is wanted; it is empty otherwise.
    """
    data = bytes_series(block)
    quotes = (data == ord(dialect.quote)).arg_true()
    breaks = _outside((data == NEWLINE).arg_true(), quotes)
    complete = int(breaks[-1]) + 1 if len(breaks) else 0
    if last and complete < len(block):
        breaks = breaks.append(pl.Series([len(block)], dtype=breaks.dtype))
        complete = len(block)
    starts = (breaks + 1).shift(1, fill_value=0)
    ends = breaks - _ends_in_return(data, breaks, starts)
    cells = pl.Series([], dtype=pl.UInt32)
    if count_cells:
        delimiters = _outside((data == ord(dialect.delimiter)).arg_true(), quotes)
        until = delimiters.search_sorted(breaks, side="left")
        cells = until - until.shift(1, fill_value=0) + 1
    return Records(
        starts=starts,
        ends=ends,
        cells=cells,
        blank=(ends == starts),
        bad=_bad(data, dialect, quotes, breaks),
        complete_bytes=complete,
    )


def _bad(data: pl.Series, dialect: Dialect, quotes: pl.Series, breaks: pl.Series) -> pl.Series:
    """Return for each record whether it breaks RFC 4180."""
    opening, closing = quotes.gather_every(2), quotes.gather_every(2, offset=1)
    delimiter, quote = ord(dialect.delimiter), ord(dialect.quote)
    before = _byte(data, opening, -1)
    ill_opened = opening.filter(~before.is_in([delimiter, quote, NEWLINE, _NONE]))
    after = _byte(data, closing, 1)
    ill_closed = closing.filter(
        ~after.is_in([delimiter, quote, NEWLINE, _NONE])
        & ~((after == _RETURN) & _byte(data, closing, 2).is_in([NEWLINE, _NONE]))
    )
    open_at_end = quotes.tail(len(quotes) % 2)
    returns = _outside((data == _RETURN).arg_true(), quotes)
    lone = returns.filter(~_byte(data, returns, 1).is_in([NEWLINE, _NONE]))
    found = breaks.search_sorted(pl.concat([ill_opened, ill_closed, open_at_end, lone]))
    return pl.int_range(len(breaks), eager=True, dtype=pl.UInt32).is_in(found.unique().implode())


def _byte(data: pl.Series, positions: pl.Series, offset: int) -> pl.Series:
    """Return the bytes at some positions, _NONE beyond the block."""
    at = positions.cast(pl.Int64) + offset
    inside = at.is_between(0, len(data) - 1)
    found = data.gather(at.clip(0, max(len(data) - 1, 0))).cast(pl.Int16)
    return pl.select(pl.when(inside).then(found).otherwise(_NONE)).to_series()


def _outside(positions: pl.Series, quotes: pl.Series) -> pl.Series:
    if not len(quotes) or not len(positions):
        return positions
    return positions.filter(quotes.search_sorted(positions, side="left") % 2 == 0)


def _ends_in_return(data: pl.Series, breaks: pl.Series, starts: pl.Series) -> pl.Series:
    """Return 1 for each record whose line break is CR LF, else 0."""
    if not len(breaks):
        return breaks
    before = (breaks.cast(pl.Int64) - 1).clip(0)
    longer = breaks > starts
    return ((data.gather(before) == _RETURN) & longer).cast(breaks.dtype)
