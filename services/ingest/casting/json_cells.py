"""JSON cells judged many at a time: what is proven here is what `exact_json` takes; the rest is open."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from services.ingest.casting.text_buffers import arrow_texts, joined
from services.ingest.exact_json import MOST_DEPTH

GROUP: Final = 512
"""Cells that are parsed at once: bounds what they take as objects."""

Judge = Callable[[list[Any], bytes], bool]


def proven_json(text: pl.Series) -> pl.Series:
    """Return the texts that are JSON as `exact_json.loads` takes it, null where that is not proven.

    Args:
        text: (n,) texts without blanks around them; null is an absent cell.
    """
    cells = arrow_texts(text.drop_nulls())
    letters = joined(cells)
    longest = pc.max(pc.binary_length(cells)).as_py() or 0
    asked = text
    if longest > 2 * MOST_DEPTH or (b"\\" in letters and b"\\u" in letters):
        asked = pl.select(pl.when(~_suspect(text)).then(text)).to_series()
        cells = arrow_texts(asked.drop_nulls())
    runs = [(start, len(values)) for start, values in _proven(cells, _names_once)]
    present = asked.drop_nulls()
    proven = _marked(runs, len(present))
    return asked if proven.all() else _at(asked, proven, present.filter(proven))


def proven_lists(text: pl.Series) -> pl.Series:
    """Return the lists of texts that are JSON arrays of texts, null where that is not proven."""
    found = list(_proven(arrow_texts(text.drop_nulls()), _lists_of_texts))
    proven = _marked(
        [(start, len(values)) for start, values in found], text.len() - text.null_count()
    )
    lists = pl.Series([one for _, values in found for one in values], dtype=pl.List(pl.String))
    return _at(text, proven, lists)


def _marked(runs: Iterable[tuple[int, int]], count: int) -> pl.Series:
    """Return (count,) whether a number lies in one of the runs, each given by its start and length."""
    marks = bytearray(count)
    for start, length in runs:
        marks[start : start + length] = b"\x01" * length
    return pl.Series(np.frombuffer(marks, dtype=np.bool_))


def _at(text: pl.Series, proven: pl.Series, values: pl.Series) -> pl.Series:
    """Return values where those of the present texts stand that are proven, null elsewhere."""
    rows = text.is_not_null().arg_true().filter(proven)
    places = pl.repeat(None, len(text), dtype=pl.UInt32, eager=True)
    return values.gather(places.scatter(rows, pl.int_range(len(rows), dtype=pl.UInt32, eager=True)))


def _suspect(text: pl.Series) -> pl.Series:
    """Return which texts may hold half a surrogate pair, an escaped colon, or too many levels."""
    deep = text.str.len_bytes() > 2 * MOST_DEPTH
    if deep.any():
        opened = text.str.count_matches("[", literal=True)
        deep &= opened + text.str.count_matches("{", literal=True) > MOST_DEPTH
    return deep | text.str.contains("\\u", literal=True)


def _proven(cells: pa.Array, judge: Judge) -> Iterator[tuple[int, list[Any]]]:
    """Yield runs of proven cells: the number of the first among those present, and their values."""
    for start in range(0, len(cells), GROUP):
        yield from _judged(cells.slice(start, GROUP), start, judge)


def _judged(cells: pa.Array, start: int, judge: Judge) -> Iterator[tuple[int, list[Any]]]:
    """Judge a group at once, or else one by one."""
    values = _parsed(cells)
    if values is not None and judge(values, joined(cells)):
        yield start, values
        return
    for number, text in enumerate(cells.to_pylist(), start):
        try:
            alone = [orjson.loads(text)]
        except orjson.JSONDecodeError:
            continue
        if judge(alone, text.encode()):
            yield number, alone


def _parsed(cells: pa.Array) -> list[Any] | None:
    """Return the value of each cell, None if one of them is not exactly one JSON value.

    All are parsed as one array, with a number between neighbours that no text can know. Where every
    second element is that number, each cell stood alone between two commas: none borrowed brackets
    or quotes from another.
    """
    mark = secrets.randbits(62)
    row = pa.LargeListArray.from_arrays(pa.array([0, len(cells)], pa.int64()), cells)
    text = pc.binary_join(row, pa.scalar(f",{mark},", pa.large_string()))[0].as_buffer()
    try:
        found = orjson.loads(b"".join((b"[", text, b"]")))
    except orjson.JSONDecodeError:
        return None
    alone = len(found) == 2 * len(cells) - 1 and found[1::2].count(mark) == len(cells) - 1
    return found[::2] if alone else None


def _names_once(values: list[Any], text: bytes) -> bool:
    """Return whether no object has a name twice.

    The texts have a colon for each name and those inside of strings; so has what was parsed, less
    those of names that were dropped for another of the same. No text may hold an escape with `u`.
    """
    colons = text.count(b":")
    if set(map(type, values)) == {dict} and sum(map(len, values)) == colons:
        return True
    try:
        return orjson.dumps(values).count(b":") == colons
    except orjson.JSONEncodeError:
        return False


def _lists_of_texts(values: list[Any], _: bytes) -> bool:
    return all(type(one) is list and all(type(item) is str for item in one) for one in values)
