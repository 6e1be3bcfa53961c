"""How many records a block has, and where the last of them ends: what a plan needs of it."""

import dataclasses
from typing import Final, Self

import numpy as np

from services.ingest.sources import marks
from services.ingest.sources.marks import Words
from services.ingest.sources.records import DOUBT, Dialect, find_records

TAIL: Final = 64
"""Words at a block's end that mostly tell which quote the bytes behind the block may cast doubt on."""

_NEWLINE: Final = 10
_RETURN: Final = 13


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Records of a block: how many, blank lines left out, and the bytes up to the last one's end."""

    count: int
    complete_bytes: int


def count_records(block: bytes, dialect: Dialect, *, last: bool) -> Counted:
    """Count the records of a block that begins at a record's start, as `find_records` finds them."""
    counted = None if last or not block else _counted(block, dialect)
    if counted is None:
        found = find_records(block, dialect, last=last)
        return Counted(count=found.count, complete_bytes=found.complete_bytes)
    return counted


def _counted(block: bytes, dialect: Dialect) -> Counted | None:
    """Count by the parity of quotes; None where a quote or carriage return breaks RFC 4180."""
    found = _Marks.of(block, dialect)
    if found.broken:
        return None
    breaks, begins = found.newlines, marks.after(found.newlines)
    marks.put(begins, 0)
    if found.quoted:
        breaks = breaks & ~found.inside
        held = found.held()
        if held is not None:
            marks.clear_from(breaks, held)
    blank = breaks & begins
    if found.returned:
        blank |= breaks & marks.after(found.returns & begins)
    count = marks.count(breaks) - marks.count(blank)
    return Counted(count=count, complete_bytes=marks.last(breaks) + 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Marks:
    """What of a block, or of the words at its end, makes records.

    separators: Delimiters and newlines; of no use where nothing is quoted.
    inside: Where the number of quotes up to and with a byte is odd.
    quoted, returned: Whether the block has quotes, carriage returns.
    size: Bytes.
    """

    quotes: Words
    separators: Words
    newlines: Words
    returns: Words
    inside: Words
    quoted: bool
    returned: bool
    size: int

    @classmethod
    def of(cls, block: bytes, dialect: Dialect) -> Self:
        data = marks.bytes_of(block)
        quoted, returned = dialect.quote.encode() in block, b"\r" in block
        newlines = marks.where(data, _NEWLINE)
        none = np.zeros_like(newlines)
        quotes = marks.where(data, ord(dialect.quote)) if quoted else none
        delimiters = marks.where(data, ord(dialect.delimiter)) if quoted else none
        return cls(
            quotes=quotes,
            separators=delimiters | newlines,
            newlines=newlines,
            returns=marks.where(data, _RETURN) if returned else none,
            inside=marks.odd_before(quotes) if quoted else none,
            quoted=quoted,
            returned=returned,
            size=len(block),
        )

    @property
    def _odd_returns(self) -> Words:
        """Carriage returns that end no line; beyond the block anything may follow."""
        ends = marks.before(self.newlines)
        marks.put(ends, self.size - 1)
        return self.returns & ~ends

    @property
    def broken(self) -> bool:
        """Whether a quote or carriage return stands where RFC 4180 allows none."""
        if self.returned and np.any(self._odd_returns & ~self.inside):
            return True
        return self.quoted and self._cells_touch_texts

    @property
    def _cells_touch_texts(self) -> bool:
        """Whether anything but a separator or a line's end stands beside a quoted cell."""
        cells = self.inside | self.quotes
        beside = marks.after(cells)
        beside |= marks.before(cells)
        beside &= ~(cells | self.separators | self.returns)
        if self.size % 64:
            marks.clear_from(beside, self.size)
        return bool(beside.any())

    def held(self) -> int | None:
        """Return the first quote behind which the rest keeps RFC 4180 if bytes outside of quotes are inside."""
        begin = max(len(self.quotes) - TAIL, 0)
        told, held = self._behind(begin).open_at_end()
        if begin and not told:
            begin, held = 0, self.open_at_end()[1] if self._opened.any() else None
        return None if held is None else 64 * begin + held

    @property
    def _begins(self) -> Words:
        """Where a cell may begin."""
        begins = marks.after(self.separators)
        marks.put(begins, 0)
        return begins

    @property
    def _opened(self) -> Words:
        """Quotes that open a cell if bytes outside of quotes are inside."""
        return self.quotes & self._begins & ~self.inside

    def _behind(self, word: int) -> Self:
        return dataclasses.replace(
            self,
            quotes=self.quotes[word:],
            separators=self.separators[word:],
            newlines=self.newlines[word:],
            returns=self.returns[word:],
            inside=self.inside[word:],
            size=self.size - 64 * word,
        )

    def open_at_end(self) -> tuple[bool, int | None]:
        """Return whether a byte breaks RFC 4180 then, and the first quote that opens a cell behind the last that does."""
        opens = self._begins | marks.after(self.quotes)
        odd_returns = self._odd_returns
        closes = marks.before(self.separators | self.quotes | (self.returns & ~odd_returns))
        marks.put(closes, self.size - 1)
        odd = self.quotes & ~opens & ~self.inside
        odd |= (self.quotes & ~closes | odd_returns) & self.inside
        marks.clear_from(odd, max(self.size - 2, 0))
        last = marks.last(odd)
        opened = self._opened
        after = max(last + 1, self.size - DOUBT + 1)
        return last >= 0, marks.first_from(opened, after, np.flatnonzero(opened))
