"""Cells as Arrow texts: one buffer a column, that a single look goes over."""

from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa

VIEWS: Final = pl.CompatLevel.newest()
"""How Polars holds texts itself: handing them over so copies nothing."""


def arrow_texts(texts: pl.Series) -> pa.Array:
    """Return a String column as Arrow texts in one piece."""
    found = texts.rechunk().to_arrow(compat_level=VIEWS).cast(pa.large_string())
    assert isinstance(found, pa.Array)
    return found


def joined(cells: pa.Array) -> bytes:
    """Return the texts of `arrow_texts` one after another; those of null cells are left out."""
    present = cells.drop_null() if cells.null_count else cells
    _, offsets, data = present.buffers()
    if data is None or not len(present):
        return b""
    ends = pa.Array.from_buffers(
        pa.int64(), len(present) + 1, [None, offsets], offset=present.offset
    )
    first, last = ends[0].as_py(), ends[-1].as_py()
    return bytes(data.slice(first, last - first))


def count_of(letter: bytes, text: bytes) -> int:
    """Return how often an ASCII letter is there: `bytes.count` looks for one after another."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(letter)))
