"""One record of delimited text, character by character, also where it breaks RFC 4180.

A quote opens a quoted cell only where a cell begins; anywhere else it is a character like others,
and its record is a bad one.
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """Where a record ends (its line break, or the end of the file), and what it is.

    cells: How many it has.
    bad: Whether a quote or carriage return stands where RFC 4180 allows none.
    """

    end: int
    cells: int
    bad: bool


class Scanner:
    """Scans records; delimiter and quote are one ASCII character each."""

    def __init__(self, delimiter: str, quote: str) -> None:
        d, q = re.escape(delimiter.encode()), re.escape(quote.encode())
        self._quote = quote.encode()
        self._quoted = re.compile(
            q + b"[^" + q + b"]*+(?:" + q + q + b"[^" + q + b"]*+)*+" + q + b"(?!" + q + b")"
        )
        self._plain = re.compile(b"[^" + d + b"\n]*+")

    def record(self, block: bytes, start: int, *, last: bool) -> Scanned | None:
        """Return the record that starts at a position; None if it does not end in the block.

        Args:
            block: Bytes of the file.
            start: Where the record starts.
            last: Whether the file ends with the block: then the record does too, a bad one if a
                quote is open.
        """
        position, cells, bad = start, 1, False
        while True:
            closed = None
            if block.startswith(self._quote, position):
                closed = self._quoted.match(block, position)
                if closed is None:
                    return Scanned(end=len(block), cells=cells, bad=True) if last else None
                position = closed.end()
            text = self._plain.match(block, position)
            assert text is not None
            position = text.end()
            ends = position == len(block) or block.startswith(b"\n", position)
            left = text[0].removesuffix(b"\r") if ends else text[0]
            bad = bad or (closed is not None and left != b"")
            bad = bad or self._quote in left or b"\r" in left
            if ends and position == len(block) and not last:
                return None
            if ends:
                return Scanned(end=position, cells=cells, bad=bad)
            cells, position = cells + 1, position + 1
