"""How many records a block has, and where the last of them ends: what a plan needs of it."""

import dataclasses

import numpy as np

from services.ingest.sources import marks
from services.ingest.sources.records import Dialect, find_records


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
    """Count by the parity of quotes; None where a quote or carriage return breaks RFC 4180, or may open another cell."""
    data = marks.bytes_of(block)
    breaks = newlines = marks.where(data, ord("\n"))
    returns = marks.where(data, ord("\r")) if b"\r" in block else None
    if dialect.quote.encode() in block:
        beside = marks.where(data, ord(dialect.delimiter))
        quotes = marks.where(data, ord(dialect.quote))
        inside = marks.odd_before(quotes)
        beside |= newlines
        cells = marks.after(beside)
        marks.put(cells, 0)
        opens = marks.after(quotes)
        opens |= cells
        beside |= quotes
        if returns is not None:
            beside |= returns
            returns &= ~inside
        closes = marks.before(beside)
        marks.put(closes, len(block) - 1)
        may = closes ^ ((opens ^ closes) & inside)
        if np.any(quotes & ~may):
            return None
        if np.any(quotes & cells & ~inside):
            return None
        breaks = newlines & ~inside
    begins = marks.after(newlines)
    marks.put(begins, 0)
    blank = breaks & begins
    if returns is not None:
        ends = marks.before(newlines)
        marks.put(ends, len(block) - 1)
        if np.any(returns & ~ends):
            return None
        blank |= breaks & marks.after(returns & begins)
    count = marks.count(breaks) - marks.count(blank)
    return Counted(count=count, complete_bytes=marks.last(breaks) + 1)
