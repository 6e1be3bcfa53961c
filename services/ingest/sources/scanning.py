"""The records of delimited text that breaks RFC 4180, character by character.

A quote opens a quoted cell only where a cell begins; anywhere else it is a character like others,
and its record is a bad one. So a stray quote costs its own record, not those after it.
"""

import dataclasses
import re

NEWLINE = b"\n"


@dataclasses.dataclass(slots=True)
class Scanned:
    """Where records end (their line break, or the end), how many cells they have, which are bad."""

    breaks: list[int] = dataclasses.field(default_factory=list)
    cells: list[int] = dataclasses.field(default_factory=list)
    bad: list[bool] = dataclasses.field(default_factory=list)

    def take(self, end: int, cells: int, bad: bool) -> None:
        self.breaks.append(end)
        self.cells.append(cells)
        self.bad.append(bad)


def scan(block: bytes, delimiter: str, quote: str, *, last: bool) -> Scanned:
    """Find the records of a block that begins at a record's start.

    Args:
        block: Bytes of the file.
        delimiter: Between cells, one ASCII character.
        quote: Around cells, one ASCII character.
        last: Whether the file ends with the block; otherwise what follows the last line break
            is left out.
    """
    d, q = re.escape(delimiter.encode()), re.escape(quote.encode())
    quoted = re.compile(
        q + b"[^" + q + b"]*(?:" + q + q + b"[^" + q + b"]*)*" + q + b"(?!" + q + b")"
    )
    plain = re.compile(b"[^" + d + b"\n]*")
    found, position, cells, bad = Scanned(), 0, 1, False
    while position < len(block):
        closed = None
        if block.startswith(quote.encode(), position):
            closed = quoted.match(block, position)
            if closed is None:
                return _open(found, block, cells, last=last)
            position = closed.end()
        text = plain.match(block, position)
        assert text is not None
        position = text.end()
        left = text[0].removesuffix(b"\r") if _ends(block, position) else text[0]
        bad = bad or (closed is not None and left != b"") or quote.encode() in left or b"\r" in left
        if _ends(block, position):
            if position < len(block) or last:
                found.take(position, cells, bad)
            cells, bad = 1, False
        else:
            cells += 1
            if last and position + 1 == len(block):
                found.take(len(block), cells, bad)
        position += 1
    return found


def _ends(block: bytes, position: int) -> bool:
    return position >= len(block) or block.startswith(NEWLINE, position)


def _open(found: Scanned, block: bytes, cells: int, *, last: bool) -> Scanned:
    """End with a quote that nothing closes: the rest of a file is one bad record."""
    if last:
        found.take(len(block), cells, bad=True)
    return found
