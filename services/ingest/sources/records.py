"""Where records of delimited text begin and end, exactly, however quotes and newlines mix.

RFC 4180 doubles a quote inside a field, so a byte is outside quotes exactly when the number of
quote characters before it is even. Everything here works on positions of single bytes, all at
once; a block in which a quote or carriage return breaks RFC 4180 is scanned instead.
"""

import dataclasses
from typing import Final, Self

import polars as pl
import pyarrow as pa

from services.ingest.sources.scanning import scan

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


def find_records(block: bytes, dialect: Dialect, *, last: bool) -> Records:
    """Find the records of a block that begins at a record's start.

    Args:
        block: Bytes of the file.
        dialect: Of the file.
        last: Whether the file ends with the block: then bytes after the last line break are a
            record too, a bad one if a quote is open.
    """
    data = bytes_series(block)
    quotes = (data == ord(dialect.quote)).arg_true()
    if _breaks_rules(data, dialect, quotes, last=last):
        scanned = scan(block, dialect.delimiter, dialect.quote, last=last)
        breaks = pl.Series(scanned.breaks, dtype=pl.UInt32)
        cells = pl.Series(scanned.cells, dtype=pl.UInt32)
        return _records(data, breaks, cells, pl.Series(scanned.bad, dtype=pl.Boolean))
    breaks = _outside((data == NEWLINE).arg_true(), quotes)
    complete = int(breaks[-1]) + 1 if len(breaks) else 0
    if last and complete < len(block):
        breaks = breaks.append(pl.Series([len(block)], dtype=breaks.dtype))
    delimiters = _outside((data == ord(dialect.delimiter)).arg_true(), quotes)
    until = delimiters.search_sorted(breaks, side="left")
    cells = until - until.shift(1, fill_value=0) + 1
    return _records(data, breaks, cells, pl.repeat(value=False, n=len(breaks), eager=True))


def _records(data: pl.Series, breaks: pl.Series, cells: pl.Series, bad: pl.Series) -> Records:
    starts = (breaks + 1).shift(1, fill_value=0)
    ends = breaks - _ends_in_return(data, breaks, starts)
    complete = min(int(breaks[-1]) + 1, len(data)) if len(breaks) else 0
    return Records(
        starts=starts,
        ends=ends,
        cells=cells,
        blank=(ends == starts),
        bad=bad,
        complete_bytes=complete,
    )


def _breaks_rules(data: pl.Series, dialect: Dialect, quotes: pl.Series, *, last: bool) -> bool:
    """Return whether a quote or carriage return of a block stands where RFC 4180 allows none."""
    if last and len(quotes) % 2:
        return True
    opening, closing = quotes.gather_every(2), quotes.gather_every(2, offset=1)
    around = [ord(dialect.delimiter), ord(dialect.quote), NEWLINE, _NONE]
    after = _byte(data, closing, 1)
    returned = (after == _RETURN) & _byte(data, closing, 2).is_in([NEWLINE, _NONE])
    returns = _outside((data == _RETURN).arg_true(), quotes)
    return not (
        _byte(data, opening, -1).is_in(around).all()
        and (after.is_in(around) | returned).all()
        and _byte(data, returns, 1).is_in([NEWLINE, _NONE]).all()
    )


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
