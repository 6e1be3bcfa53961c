"""Whatever the bytes, rows and rejects are those that a walk byte by byte gives."""

import csv
import io
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.sources.cells import split
from services.ingest.sources.records import Dialect
from tests.support.examples import examples
from tests.unit.ingest.reading import Row, columns, read_bytes
from tests.unit.ingest.walking import walked

NAMES = ("a", "b", "c")
WORDS = st.sampled_from(
    [
        b"x",
        b"\xc3\xa9",
        b"\xc3",
        b"\xa9",
        b"\xff",
        b"\x00",
        b" ",
        b"\xef\xbb\xbf",
        b"\xf0\x9f\x98\x80",
        b"NULL",
    ]
)
NOISE = WORDS | st.sampled_from([b",", b'"', b'""', b"\n", b"\r\n", b"\r", b'"x\r\n"', b"x,y\n"])
CELLS = st.lists(WORDS, max_size=2).map(b"".join) | st.sampled_from(
    [b'"x,y"', b'"\n"', b'""', b'"a""b"']
)
REGULAR = st.lists(CELLS, min_size=2, max_size=2).map(lambda cells: b",".join(cells) + b"\n")
BLOCKS = st.lists(REGULAR | NOISE, max_size=40).map(b"".join)

Outcome = tuple[list[tuple[int, Row]], list[tuple[int, str, str]]]


def exact(data: bytes, width: int) -> Outcome:
    """Return the rows and rejects of records without a header, one by one."""
    rows: list[tuple[int, Row]] = []
    rejects: list[tuple[int, str, str]] = []
    number = 0
    for start, end, cells, bad in walked(data, last=True).records:
        text = data[start:end]
        shown = text.decode(errors="replace")
        if not text:
            continue
        if bad:
            rejects.append((number, "MALFORMED", shown))
        elif cells != width:
            rejects.append((number, "RAGGED", shown))
        elif shown.encode() != text:
            rejects.append((number, "MALFORMED", shown))
        else:
            rows.append((number, tuple(split(text.decode(), Dialect()))))
        number += 1
    return rows, rejects


@given(
    data=BLOCKS,
    width=st.integers(1, 3),
    block_bytes=st.sampled_from([1, 3, 16, 64, 1000]),
    chunk_bytes=st.sampled_from([3, 64, 1000]),
)
@settings(deadline=None, max_examples=examples(150))
def test_rows_and_rejects_are_those_of_an_exact_walk(
    data: bytes, width: int, block_bytes: int, chunk_bytes: int
) -> None:
    header = ",".join(NAMES[:width]).encode() + b"\n"
    first = ",".join("first"[:width]).encode() + b"\n"
    found = read_bytes(
        "csv",
        header + first + data,
        columns(*NAMES[:width]),
        block_bytes=block_bytes,
        chunk_bytes=chunk_bytes,
    )
    rows, rejects = exact(first + data, width)
    assert found.rows == rows
    assert sorted((r.row_number, r.kind, r.raw) for r in found.rejects) == rejects


@given(seed=st.integers(0, 2**32), end=st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None, max_examples=examples(4))
def test_blocks_that_are_parsed_in_several_threads_are_read_as_they_were_written(
    seed: int, end: str
) -> None:
    chance = random.Random(seed)
    pieces = ["x", "é", ",", '"', "\n", "\r\n", '""', '",', '\n"', "y" * 50]
    rows = [(str(i), "".join(chance.choices(pieces, k=chance.randrange(9)))) for i in range(60_000)]
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end).writerows([("a", "b"), *rows])
    found = read_bytes("csv", file.getvalue().encode(), columns("a", "b"))
    assert found.texts == [(a, b or None) for a, b in rows]
    assert found.rejects == []
