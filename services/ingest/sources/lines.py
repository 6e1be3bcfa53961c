"""Lines of a text: blocks of whole ones, and where those are that are records."""

import dataclasses
from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from services.ingest.failures import SourceMalformed
from services.ingest.sources import marks
from services.ingest.sources.csv_reader import Views

LONGEST_LINE: Final = 64 * 1024 * 1024
_BINARY: Final = pa.large_binary()
_BLANK: Final = np.isin(np.arange(256), list(b" \t\n\r\v\f"))

Positions: TypeAlias = npt.NDArray[np.int64]


def whole_lines(stream: Views, name: str, step: int) -> Iterator[bytes]:
    """Yield a stream as blocks of whole lines of about `step` bytes, the last line with its break or not.

    Raises SourceMalformed for a line of more than 64 MiB.
    """
    waiting: list[bytes] = []
    size = 0
    while data := bytes(stream.read(step)):
        first, cut = data.find(b"\n"), data.rfind(b"\n") + 1
        if size + (first if cut else len(data)) > LONGEST_LINE:
            text = f"{name}: a line of more than 64 MiB; allowed is one object a line"
            raise SourceMalformed(text, source=name, file=name)
        if cut:
            yield b"".join((*waiting, memoryview(data)[:cut]))
            waiting, size = [], 0
        waiting.append(data[cut:])
        size += len(data) - cut
    if size:
        yield b"".join(waiting)


def find_lines(block: bytes) -> tuple[Positions, Positions]:
    """Return where the lines of a block begin and end that are not blank, breaks left out."""
    data = np.frombuffer(block, dtype=np.uint8)
    breaks = marks.positions(marks.where(data, ord("\n")))
    if not len(breaks) or breaks[-1] != len(data) - 1:
        breaks = np.append(breaks, len(data))
    starts = np.concatenate([[0], breaks[:-1] + 1])
    empty = starts == breaks
    doubtful = ~empty
    doubtful[doubtful] = _BLANK[data[starts[doubtful]]]
    for i in np.flatnonzero(doubtful):
        empty[i] = not block[starts[i] : breaks[i]].strip()
    return starts[~empty], breaks[~empty]


@dataclasses.dataclass(frozen=True, slots=True)
class Records:
    """Records of a block: the bytes [start, end), ascending, none of them blank."""

    block: bytes
    starts: Positions
    ends: Positions

    def series(self) -> pl.Series:
        """Return them as Binary, without copying them."""
        return slices(self.block, self.starts, self.ends)


def slices(
    block: bytes, starts: Positions, ends: Positions, type_: pa.DataType = _BINARY
) -> pl.Series:
    """Return the bytes [start, end) of a block, ascending, as Binary or String, without copying them.

    What is taken as String must be UTF-8.
    """
    bounds = np.zeros(2 * len(starts) + 1, dtype=np.int64)
    bounds[:-1:2], bounds[1::2] = starts, ends
    bounds[-1] = bounds[-2] if len(ends) else 0
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(block)]
    array = pa.Array.from_buffers(type_, 2 * len(starts), buffers)
    return pl.Series(pl.from_arrow(array)).gather_every(2)
