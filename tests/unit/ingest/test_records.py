"""Where records are: looked for all at once, they are those that a walk byte by byte finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.sources import marks
from services.ingest.sources.counting import count_records
from services.ingest.sources.records import Dialect, Records, find_records
from tests.unit.ingest.walking import walked

PIECES = st.sampled_from(
    [b"a", b",", b'"', b'""', b'"a"', b"\n", b"\r\n", b"\r", b"\xff", b"x,y\n", b"\x00", b'"\n",']
)
BLOCKS = st.lists(PIECES, max_size=20).map(b"".join)
LONG = st.lists(PIECES, min_size=30, max_size=150).map(b"".join)
"""Of more than one word of 64 bits."""


def found_in(records: Records) -> list[tuple[int, int, int, bool]]:
    arrays = (records.starts, records.ends, records.cells, records.bad)
    return list(zip(*(array.tolist() for array in arrays), strict=True))


@given(block=BLOCKS | LONG, last=st.booleans())
@settings(deadline=None, max_examples=400)
def test_records_found_at_once_are_those_of_a_walk_byte_by_byte(block: bytes, last: bool) -> None:
    walk = walked(block, last=last)
    found = find_records(block, Dialect(), last=last)
    assert found_in(found) == walk.records
    assert found.complete_bytes == min(walk.start, len(block))
    assert found.blank.tolist() == [end == start for start, end, _, _ in walk.records]


@given(block=BLOCKS | LONG, last=st.booleans())
@settings(deadline=None, max_examples=300)
def test_records_are_counted_as_they_are_found(block: bytes, last: bool) -> None:
    counted = count_records(block, Dialect(), last=last)
    found = find_records(block, Dialect(), last=last)
    assert (counted.count, counted.complete_bytes) == (found.count, found.complete_bytes)


@given(block=BLOCKS | LONG, last=st.booleans(), delimiter=st.sampled_from(";|\t"))
@settings(deadline=None, max_examples=50)
def test_another_dialect_finds_what_commas_and_double_quotes_would(
    block: bytes, last: bool, delimiter: str
) -> None:
    other = block.replace(b",", delimiter.encode()).replace(b'"', b"'")
    found = find_records(other, Dialect(delimiter=delimiter, quote="'"), last=last)
    assert found_in(found) == found_in(find_records(block, Dialect(), last=last))


@given(block=BLOCKS, more=BLOCKS)
@settings(deadline=None, max_examples=150)
def test_records_of_a_blocks_beginning_are_those_of_the_whole(block: bytes, more: bytes) -> None:
    part = find_records(block, Dialect(), last=False)
    whole = find_records(block + more, Dialect(), last=True)
    count = len(part.starts)
    assert found_in(part) == found_in(whole)[:count]
    assert part.blank.tolist() == whole.blank.tolist()[:count]


def test_a_block_is_looked_at_in_parts_and_found_as_a_whole() -> None:
    record = b'1,"a ""b""\nc",\r\n'
    block = record * (2 * marks.AT_ONCE // len(record)) + b'x"y,1\n' + record * 3
    found = find_records(block, Dialect(), last=True)
    assert found_in(found) == walked(block, last=True).records


@pytest.mark.parametrize("size", [1, 63, 64, 65, 127, 128, 129])
def test_marks_at_the_edges_of_words(size: int) -> None:
    block = b"\n" * size
    found = find_records(block, Dialect(), last=False)
    assert found.count == 0
    assert found.complete_bytes == len(found.starts) == size
