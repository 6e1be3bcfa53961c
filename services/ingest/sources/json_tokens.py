"""The brackets, commas and colons of JSON that stand outside of strings, found a block at a time."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from services.ingest.failures import SourceMalformed
from services.ingest.sources.csv_reader import Stream

LONGEST: Final = 64 * 1024 * 1024
OPENING: Final = frozenset(b"[{")
_MARK, _QUOTE, _BACKSLASH = 1, 2, 3

Positions: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]


def _table(marks: dict[bytes, int]) -> npt.NDArray[np.int8]:
    table = np.zeros(256, dtype=np.int8)
    for characters, value in marks.items():
        table[list(characters)] = value
    return table


_KINDS: Final = _table({b"[]{},:": _MARK, b'"': _QUOTE, b"\\": _BACKSLASH})
_STEPS: Final = _table({b"[{": 1, b"]}": -1})


def find_marks(block: bytes) -> Positions:
    """Return where `[]{},:` stand outside of strings in a block that begins outside of one."""
    kinds = _KINDS[np.frombuffer(block, dtype=np.uint8)]
    places = np.flatnonzero(kinds)
    found = kinds[places]
    quotes = found == _QUOTE
    slashes = found == _BACKSLASH
    if slashes.any():
        quotes &= ~_escaped(places, slashes)
    outside = np.cumsum(quotes, dtype=np.int32) & 1 == 0
    marks: Positions = places[(found == _MARK) & outside]
    return marks


def _escaped(places: Positions, slashes: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which places stand behind an odd number of backslashes."""
    order = np.arange(len(places))
    goes_on = np.zeros(len(places), dtype=np.bool_)
    goes_on[1:] = slashes[:-1] & (np.diff(places) == 1)
    begins = np.maximum.accumulate(np.where(goes_on & slashes, 0, order))
    escaped = np.zeros(len(places), dtype=np.bool_)
    runs = order[:-1] - begins[:-1] + 1
    escaped[1:] = goes_on[1:] & (runs % 2 == 1)
    return escaped


class Tokens:
    """Marks of a stream, one after another, and the bytes between them.

    `last` is the mark that was taken last, `position` is the byte of the stream behind the last mark that was taken; bytes before it are
    forgotten when more are read, but for those from `kept` on. `kept` stands outside of strings.
    """

    def __init__(self, stream: Stream, name: str, step: int) -> None:
        self._stream = stream
        self._name = name
        self._step = step
        self._at = 0
        self._ended = False
        self.block = b""
        self.base = 0
        self.position = 0
        self.kept = 0
        self.last = 0
        self.marks: Positions = np.zeros(0, dtype=np.int64)
        self.bytes: Bytes = np.zeros(0, dtype=np.uint8)
        self.depths: Positions = self.marks

    @property
    def ahead(self) -> slice:
        """The marks of the block that were not taken, as indexes of `marks`, `bytes`, `depths`."""
        return slice(self._at, len(self.marks))

    def more(self) -> bool:
        """Read on; return whether there was more."""
        if self._ended:
            return False
        rest = self.block[self.kept - self.base :]
        if len(rest) > LONGEST:
            text = f"{self._name}: more than 64 MiB from byte {self.kept} on"
            raise SourceMalformed(
                f"{text}; allowed are records, and values beside them, of at most 64 MiB",
                source=self._name,
                file=self._name,
            )
        data = self._stream.read(max(self._step, len(rest)))
        self._ended = not data
        if self._ended:
            return False
        self.block, self.base = rest + data, self.kept
        self.marks = find_marks(self.block)
        self.bytes = np.frombuffer(self.block, dtype=np.uint8)[self.marks]
        self.depths = np.cumsum(_STEPS[self.bytes], dtype=np.int64)
        self._at = int(np.searchsorted(self.marks, self.position - self.base))
        return True

    def peek(self) -> int | None:
        """Return the next mark; None at the end."""
        while self._at >= len(self.marks):
            if not self.more():
                return None
        return int(self.bytes[self._at])

    def before(self) -> bytes:
        """Return what stands between the last mark and the next one, or the end."""
        start = self.position - self.base
        end = int(self.marks[self._at]) if self._at < len(self.marks) else len(self.block)
        return self.block[start:end]

    def take(self) -> None:
        """Go behind the next mark, which was seen by `peek`."""
        self.go(self._at)

    def go(self, index: int) -> None:
        """Go behind a mark of the block."""
        self._at = index + 1
        self.last = int(self.bytes[index])
        self.position = self.kept = self.base + int(self.marks[index]) + 1
