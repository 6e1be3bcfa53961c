"""Where the bytes are that records of JSON are taken apart by."""

from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from services.ingest.sources import marks
from services.ingest.sources.lines import Positions, Records

Flags = npt.NDArray[np.bool_]

WORD: Final = 8
_QUOTE, _COMMA, _BACKSLASH, _RETURN, _BLANK = (ord(byte) for byte in '",\\\r ')


class MarkedRecords:
    """Records of a block, and what its bytes say of where their values are.

    block: The block.
    data: Its bytes.
    starts: Where records begin.
    lasts: Where the last byte of each is, before a carriage return.
    """

    def __init__(self, records: Records) -> None:
        self.block = records.block
        self.data = marks.bytes_of(self.block)
        self.starts = records.starts
        self.lasts = records.ends - 1
        self.lasts -= self.data[self.lasts] == _RETURN
        count = max(0, len(self.block) - WORD + 1)
        self._words = np.ndarray((count,), "<u8", buffer=self.block, strides=(1,))
        self._separators: dict[int, Positions] = {}

    def stands(self, at: Positions, literal: bytes) -> Flags:
        """Return whether a literal stands at each of some positions of the block, ascending."""
        size = len(literal)
        most = len(self.block) - max(size, WORD)
        if len(at) and at[-1] > most:
            return self._stands_near_the_end(at, literal, most)
        if size < WORD:
            mask = np.uint64((1 << 8 * size) - 1)
            word = np.uint64(int.from_bytes(literal, "little"))
            short: Flags = (self._words[at] & mask) == word
            return short
        found = np.ones(len(at), np.bool_)
        for start in (*range(0, size - WORD, WORD), size - WORD):
            word = np.uint64(int.from_bytes(literal[start : start + WORD], "little"))
            found &= self._words[start:][at] == word
        return found

    def _stands_near_the_end(self, at: Positions, literal: bytes, most: int) -> Flags:
        """Return the same where words from some positions on, greater than `most`, end behind the block."""
        found = np.zeros(len(at), np.bool_)
        whole = int(np.searchsorted(at, most, side="right"))
        found[:whole] = self.stands(at[:whole], literal)
        until = int(np.searchsorted(at, len(self.block) - len(literal), side="right"))
        for i in range(whole, until):
            found[i] = self.block.startswith(literal, at[i])
        return found

    def separators(self, blanks: int) -> Positions:
        """Return the commas that a quote follows after so many bytes, and the block's end."""
        if blanks not in self._separators:
            quotes = self._quotes
            for _ in range(blanks + 1):
                quotes = marks.before(quotes)
            commas = marks.where(self.data, _COMMA)
            self._separators[blanks] = np.append(marks.positions(commas & quotes), len(self.block))
        return self._separators[blanks]

    @cached_property
    def quotes(self) -> marks.Ranks:
        """Numbers of quotes."""
        return marks.Ranks(self._quotes)

    @cached_property
    def controls(self) -> marks.Ranks:
        """Numbers of control characters, which stand in no text."""
        return marks.Ranks(marks.below(self.data, _BLANK))

    @cached_property
    def backslashes(self) -> Positions:
        """Where backslashes are."""
        return marks.positions(marks.where(self.data, _BACKSLASH))

    @cached_property
    def _quotes(self) -> marks.Words:
        return marks.where(self.data, _QUOTE)
