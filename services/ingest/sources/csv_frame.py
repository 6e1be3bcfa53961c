"""Records that are rows as a frame of texts; which of them are no UTF-8."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from services.ingest.sources.cells import split
from services.ingest.sources.marks import Positions
from services.ingest.sources.records import Dialect, Records

BOM: Final = b"\xef\xbb\xbf"

DECODED_AT_ONCE: Final = 64 * 1024
"""About how many bytes are decoded at once to see whether they are UTF-8."""

Mask = npt.NDArray[np.bool_]


def undecodable(block: bytes, found: Records) -> Mask:
    """Return which records of a block are no UTF-8."""
    wrong = np.zeros(len(found.starts), np.bool_)
    if block.isascii() or not len(wrong):
        return wrong
    bounds = np.append(found.starts, found.complete_bytes)
    record = 0
    while record < len(wrong):
        until = int(np.searchsorted(found.starts, bounds[record] + DECODED_AT_ONCE))
        bad = _first_undecodable(block, int(bounds[record]), int(bounds[until]))
        if bad is None:
            record = until
            continue
        record = int(np.searchsorted(found.starts, bad, side="right"))
        wrong[record - 1] = True
    return wrong


def _first_undecodable(block: bytes, start: int, end: int) -> int | None:
    try:
        str(memoryview(block)[start:end], "utf-8")
    except UnicodeDecodeError as error:
        return start + error.start
    return None


def texts_of(block: bytes, found: Records, which: Mask | Positions) -> list[bytes]:
    """Return the texts of some records."""
    spans = zip(found.starts[which].tolist(), found.ends[which].tolist(), strict=True)
    return [block[start:end] for start, end in spans]


def frame_of(
    block: bytes, found: Records, whole: Mask, header: Sequence[str], dialect: Dialect
) -> pl.DataFrame:
    """Return some records as texts, one column for each name of the header.

    Args:
        block: Bytes of the file.
        found: Its records.
        whole: (n,) which of them: they keep RFC 4180, have as many cells as the header has names, and
            are UTF-8 and not blank.
        header: Names of the columns.
        dialect: Of the file.
    """
    schema = dict.fromkeys(header, pl.String)
    count = int(np.count_nonzero(whole))
    if not count:
        return pl.DataFrame(schema=schema)
    data = block if count == len(whole) else _joined(block, found, whole)
    marked = data.startswith(BOM)
    if marked:
        data = _shield(header, dialect) + data
    try:
        frame = pl.read_csv(
            data,
            has_header=False,
            schema=schema,
            separator=dialect.delimiter,
            quote_char=dialect.quote,
        ).rechunk()  # each later look at columns of unlike pieces would do it
    except pl.exceptions.PolarsError:
        frame = pl.DataFrame(schema=schema)
    frame = frame.slice(1) if marked else frame
    if frame.height == count:
        return frame
    rows = [split(text.decode(), dialect) for text in texts_of(block, found, whole)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _shield(header: Sequence[str], dialect: Dialect) -> bytes:
    """Return a record to stand before a byte order mark, which is then a part of a cell."""
    cells = [dialect.quote * 2] * len(header)
    return (dialect.delimiter.join(cells) + "\n").encode()


def _joined(block: bytes, found: Records, whole: Mask) -> bytes:
    """Return the bytes of some records, line breaks included."""
    bounds = np.append(found.starts, found.complete_bytes)
    edges = np.flatnonzero(np.diff(whole, prepend=False, append=False))
    spans = bounds[edges].reshape(-1, 2).tolist()
    view = memoryview(block)
    return b"".join(view[start:end] for start, end in spans)
