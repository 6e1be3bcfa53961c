"""Where records of delimited text begin and end, exactly, however quotes and newlines mix.

A byte is outside of quotes exactly when the number of quotes before it is even, as long as no quote
or carriage return stands where RFC 4180 allows none. All such places of a block are found at once;
a record that has one is scanned, and behind it the parity of quotes is counted anew.

Where a quote is missing, text of a cell may look like records. So a stray quote casts doubt on what is
before it: if by the other parity it closes a cell that a quote before it opened, and nothing between
them breaks RFC 4180, all records from that quote's to its own are bad ones. A block ends before a
record of which only the bytes behind the block say whether it is one of those.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from services.ingest.sources import marks
from services.ingest.sources.marks import Positions, Words
from services.ingest.sources.scanning import Scanned, Scanner

_NEWLINE: Final = 10
_RETURN: Final = 13

DOUBT: Final = 8 * 1024 * 1024
"""Bytes within which a stray quote may close a cell: no row is larger that can land."""


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
    bad: (n,) whether a quote or carriage return stands where RFC 4180 allows none, or a cell is in
        doubt that the record may be a part of.
    complete_bytes: Bytes up to and with the line break of the last record found.
    """

    starts: Positions
    ends: Positions
    cells: Positions
    blank: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]
    complete_bytes: int

    @property
    def count(self) -> int:
        """How many records there are, blank lines left out."""
        return len(self.blank) - int(np.count_nonzero(self.blank))


def find_records(block: bytes, dialect: Dialect, *, last: bool) -> Records:
    """Find the records of a block that begins at a record's start.

    Args:
        block: Bytes of the file.
        dialect: Of the file.
        last: Whether the file ends with the block: then bytes after the last line break are a
            record too, a bad one if a quote is open.
    """
    if not block:
        return _records(block, [])
    structure = _Structure(block, dialect)
    scanner = Scanner(dialect.delimiter, dialect.quote)
    views = (_View(structure, 0), _View(structure, 1))
    found: list[_Run] = []
    doubted: list[tuple[int, int]] = []
    start, parity, held = 0, 0, None
    while start < len(block):
        view, other = views[parity], views[1 - parity]
        odd = view.first_odd(start, last=last)
        run, start = view.run(start, odd)
        found.append(run)
        if odd is None:
            if last and start < len(block):
                found.append(view.rest(start))
            held = None if last else other.open_at_end()
            break
        record = scanner.record(block, start, last=last)
        if record is None:
            opened = (other.closed_within(odd, len(block)), other.open_at_end())
            held = min((quote for quote in opened if quote is not None), default=None)
            break
        found.append(_scanned(record))
        doubtful = other.closed_within(odd, record.end)
        if doubtful is not None:
            doubted.append((doubtful, record.end))
        start = record.end + 1
        if record.end < len(block):
            parity = structure.parity_after(record.end)
        if start == len(block) and not last:
            held = views[1 - parity].open_at_end()
    return _records(block, found, doubted, held)


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """Records that follow one another: where their line breaks are, and how many cells they have."""

    breaks: Positions
    cells: Positions
    bad: bool = False


def _scanned(record: Scanned) -> _Run:
    return _Run(np.array([record.end]), np.array([record.cells]), bad=record.bad)


class _Structure:
    """The marks of a block."""

    def __init__(self, block: bytes, dialect: Dialect) -> None:
        data = marks.bytes_of(block)
        self.size = len(block)
        self.quotes = marks.where(data, ord(dialect.quote))
        self.delimiters = marks.where(data, ord(dialect.delimiter))
        self.newlines = marks.where(data, _NEWLINE)
        self.newlines_at = marks.positions(self.newlines)
        self.quote_words = np.flatnonzero(self.quotes)
        self.inside = marks.odd_before(self.quotes)
        self.newlines_inside = marks.holds(self.inside, self.newlines_at)
        self.cells = marks.after(self.delimiters | self.newlines)
        marks.put(self.cells, 0)
        self.open_odd, self.close_odd, self.return_odd = self._odd(data)

    def _odd(self, data: npt.NDArray[np.uint8]) -> tuple[Words, Words, Words]:
        """Return quotes that can open no cell, quotes that can close none, returns that end no line.

        Beyond the block anything may follow.
        """
        beside = self.delimiters | self.newlines | self.quotes
        opens = self.cells | marks.after(self.quotes)
        returns = marks.where(data, _RETURN)
        ends = marks.before(self.newlines)
        marks.put(ends, self.size - 1)
        closes = marks.before(beside | (returns & ends))
        marks.put(closes, self.size - 1)
        return self.quotes & ~opens, self.quotes & ~closes, returns & ~ends

    def parity_after(self, position: int) -> int:
        """Return 1 if the number of quotes up to and with a position is odd, else 0."""
        return int(marks.holds(self.inside, np.array([position]))[0])


class _View:
    """A block, where bytes are inside quotes if the number of quotes before them is not `parity`."""

    def __init__(self, structure: _Structure, parity: int) -> None:
        self._structure = structure
        self._parity = parity

    @functools.cached_property
    def _inside(self) -> Words:
        return ~self._structure.inside if self._parity else self._structure.inside

    @functools.cached_property
    def _odd(self) -> Words:
        s = self._structure
        return (s.open_odd & self._inside) | ((s.close_odd | s.return_odd) & ~self._inside)

    @functools.cached_property
    def _odd_words(self) -> Positions:
        return np.flatnonzero(self._odd)

    @functools.cached_property
    def _breaks(self) -> Positions:
        s = self._structure
        breaks: Positions = s.newlines_at[s.newlines_inside == bool(self._parity)]
        return breaks

    @functools.cached_property
    def _separators(self) -> marks.Ranks:
        s = self._structure
        return marks.Ranks((s.delimiters | s.newlines) & ~self._inside)

    @functools.cached_property
    def _ranks(self) -> Positions:
        return self._separators.at(self._breaks)

    @functools.cached_property
    def _opened(self) -> Words:
        """Quotes that open a cell where one may begin."""
        return self._structure.quotes & self._structure.cells & self._inside

    @functools.cached_property
    def _opened_words(self) -> Positions:
        return np.flatnonzero(self._opened)

    def closed_within(self, odd: int, end: int) -> int | None:
        """Return which quote opened the cell that the rest of a record closes, as this view has it.

        The rest begins at `odd`; None where it closes no cell, or only ones that it opened itself.
        """
        s = self._structure
        quote = marks.first_from(s.quotes, odd, s.quote_words)
        while quote is not None and quote < end:
            at = np.array([quote])
            if marks.holds(self._odd, at)[0]:
                return None
            if not marks.holds(self._inside, at)[0]:
                return self._opened_before(quote, quote)
            quote = marks.first_from(s.quotes, quote + 1, s.quote_words)
        return (
            self._opened_before(s.size, s.size) if end == s.size and self._closed_at_end else None
        )

    @property
    def _closed_at_end(self) -> bool:
        return not marks.holds(self._inside, np.array([self._structure.size - 1]))[0]

    def open_at_end(self) -> int | None:
        """Return the first quote behind which the rest of the block keeps RFC 4180 in this view."""
        size = self._structure.size
        return self._opened_before(size, max(size - 2, 0))

    def _opened_before(self, position: int, known: int) -> int | None:
        """Return the first quote that opens a cell in front of a position, no break after it.

        Breaks count up to `known`: of what is beyond, more bytes may say that it is none.
        """
        if not len(self._opened_words):
            return None
        odd = marks.last_before(self._odd, known, self._odd_words)
        after = max(odd + 1, position - DOUBT + 1, 0)
        opened = marks.first_from(self._opened, after, self._opened_words)
        return opened if opened is not None and opened < position else None

    def first_odd(self, start: int, *, last: bool) -> int | None:
        """Return where the first quote or return from a position on is that breaks RFC 4180."""
        odd = marks.first_from(self._odd, start, self._odd_words)
        end = self._structure.size - 1
        if odd is None and last and not self._closed_at_end:
            return end + 1
        return odd

    def run(self, start: int, end: int | None) -> tuple[_Run, int]:
        """Return the records that begin at `start` and end before `end`, and where the next begins."""
        first = int(np.searchsorted(self._breaks, start)) if start else 0
        after = len(self._breaks) if end is None else int(np.searchsorted(self._breaks, end))
        breaks = self._breaks[first:after]
        if not len(breaks):
            return _Run(breaks, breaks), start
        ranks = self._ranks[first:after]
        cells = np.diff(ranks, prepend=self._rank_before(start))
        return _Run(breaks, cells), int(breaks[-1]) + 1

    def rest(self, start: int) -> _Run:
        """Return what is behind the last line break of a file as a record."""
        size = self._structure.size
        cells = self._rank_before(size) - self._rank_before(start) + 1
        return _Run(np.array([size]), np.array([cells]))

    def _rank_before(self, position: int) -> int:
        return int(self._separators.at(np.array([position - 1]))[0]) if position else 0


def _together(held: int, doubted: Sequence[tuple[int, int]]) -> int:
    """Return where a block ends so that no record is told apart from what casts doubt on it."""
    for opened, end in sorted(doubted, reverse=True):
        if end >= held:
            held = min(held, opened)
    return held


def _records(
    block: bytes,
    found: list[_Run],
    doubted: Sequence[tuple[int, int]] = (),
    held: int | None = None,
) -> Records:
    breaks = np.concatenate([run.breaks for run in found] or [np.empty(0, np.int64)])
    cells = np.concatenate([run.cells for run in found] or [np.empty(0, np.int64)])
    bad = np.repeat([run.bad for run in found], [len(run.breaks) for run in found]).astype(np.bool_)
    for opened, end in doubted:
        bad[np.searchsorted(breaks, opened) : np.searchsorted(breaks, end) + 1] = True
    if held is not None:
        known = np.searchsorted(breaks, _together(held, doubted))
        breaks, cells, bad = breaks[:known], cells[:known], bad[:known]
    starts = np.zeros_like(breaks)
    starts[1:] = breaks[:-1] + 1
    returned = marks.bytes_of(block)[breaks - 1] == _RETURN if len(block) else starts == 0
    ends = breaks - (returned & (breaks > starts))
    return Records(
        starts=starts,
        ends=ends,
        cells=cells,
        blank=ends == starts,
        bad=bad & (ends != starts),
        complete_bytes=min(int(breaks[-1]) + 1, len(block)) if len(breaks) else 0,
    )
