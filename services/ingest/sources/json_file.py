"""NDJSON files: one object a line, numbers kept as text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from services.ingest.chunks import ByteRange, Chunk, Input, chunk_of
from services.ingest.failures import Cancelled, SourceEmpty
from services.ingest.sources import exact_json
from services.ingest.sources.source import EXTRA, RawBatch, Reading, Reject, Splitting

BLOCK: Final = 4 * 1024 * 1024


class JsonFile:
    """One file of JSON objects, one a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def plan(self, input_: Input, splitting: Splitting) -> list[Chunk]:
        """Cut the file at line breaks."""
        chunks = []
        start, first, count, position = 0, 0, 0, 0
        with self._path.open("rb") as file:
            for line in file:
                position += len(line)
                count += bool(line.strip())
                if position - start >= splitting.chunk_bytes:
                    chunks.append(_chunk(input_, start, position, first, count, splitting))
                    start, first, count = position, first + count, 0
        if count:
            chunks.append(_chunk(input_, start, position, first, count, splitting))
        if not chunks:
            raise SourceEmpty(
                f"{input_.input_id} has no row; remove or fill it", source=input_.input_id
            )
        return chunks

    def read(self, part: ByteRange, reading: Reading) -> Iterator[RawBatch]:
        """Yield the objects of a chunk as texts."""
        number = part.first_row_number
        with self._path.open("rb") as file:
            file.seek(part.start)
            position = part.start
            while position < part.end:
                if reading.cancelled.is_set():
                    raise Cancelled
                lines = file.readlines(min(BLOCK, part.end - position))
                size = sum(map(len, lines))
                position += size
                kept = [line for line in lines if line.strip()]
                yield batch(kept, number, reading, size)
                number += len(kept)


def _chunk(
    input_: Input, start: int, end: int, first: int, count: int, splitting: Splitting
) -> Chunk:
    part = ByteRange(start=start, end=end, first_row_number=first)
    return chunk_of(
        input_,
        part,
        splitting.spec_hash,
        estimated_bytes=end - start,
        expected_row_count=count,
    )


def batch(lines: Sequence[bytes], first: int, reading: Reading, size: int) -> RawBatch:
    """Return lines as a batch; what is no object is rejected."""
    objects: list[Mapping[str, Any]] = []
    numbers: list[int] = []
    texts: list[str] = []
    rejects = []
    for number, line in enumerate(lines, first):
        try:
            found = exact_json.loads(line)
        except (ValueError, RecursionError) as error:
            rejects.append(_reject(number, f"no JSON ({error})", line))
            continue
        if not isinstance(found, dict):
            rejects.append(_reject(number, "no JSON object", line))
            continue
        objects.append(found)
        numbers.append(number)
        texts.append(line.decode().strip())
    return RawBatch(
        rows=frame_of(objects, reading),
        row_numbers=pl.Series(numbers, dtype=pl.Int64),
        raw_rows=lambda indexes: [texts[i] for i in indexes],
        rejects=tuple(rejects),
        read_bytes=size,
    )


def frame_of(objects: Sequence[Mapping[str, Any]], reading: Reading) -> pl.DataFrame:
    """Return objects as String columns of the schema; unknown fields go to `extra`, if it is there."""
    known = {column.name for column in reading.columns}
    data: dict[str, list[str | None]] = {
        c.name: [exact_json.cell(x.get(c.name)) for x in objects] for c in reading.columns
    }
    if reading.keeps_extra:
        data[EXTRA] = [_extra(x, known) for x in objects]
    return pl.DataFrame(data, schema={c.name: pl.String for c in reading.columns})


def _extra(found: Mapping[str, Any], known: set[str]) -> str | None:
    left = {k: v for k, v in found.items() if k not in known}
    if EXTRA in found and not left:
        return exact_json.cell(found[EXTRA])
    return exact_json.dumps(left) if left else None


def _reject(number: int, why: str, line: bytes) -> Reject:
    raw = line.decode("utf-8", errors="replace").strip()
    return Reject(row_number=number, kind="MALFORMED", detail=f"found {why}", raw=raw)
