"""Where records are: looked for all at once, they are those that a walk byte by byte finds."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.ingest.sources import marks
from services.ingest.sources.counting import TAIL, count_records
from services.ingest.sources.records import Dialect, Records, find_records
from tests.support.examples import examples
from tests.unit.ingest.walking import walked

PIECES = st.sampled_from(
    [b"a", b",", b'"', b'""', b'"a"', b"\n", b"\r\n", b"\r", b"\xff", b"x,y\n", b"\x00", b'"\n",']
)
BLOCKS = st.lists(PIECES, max_size=20).map(b"".join)
LONG = st.lists(PIECES, min_size=30, max_size=150).map(b"".join)
"""Of more than one word of 64 bits."""
REPEATED = st.builds(
    lambda begun, record, count, end: begun + record * count + end,
    BLOCKS,
    st.sampled_from([b"a,b\n", b'a,"b"\n', b'"{""a"":1,""b"":2}"\r\n', b'"",""\n', b'a,",""\n"\n']),
    st.integers(0, 3 * 64 * TAIL // 4),
    BLOCKS | LONG,
)
"""Of more bytes than those at the end that mostly tell what the next block may cast doubt on."""

SOUND = st.lists(
    st.lists(
        st.sampled_from([b"", b"a", b'"b"', b'""', b'"c\nd"', b'"e,\r\n"', b'"""f"""']),
        min_size=1,
        max_size=3,
    ).map(b",".join),
    min_size=1,
    max_size=8,
).map(lambda records: b"".join(record + b"\n" for record in records))
NEARLY = st.builds(
    lambda sound, stray, at: sound[: at % len(sound)] + stray + sound[at % len(sound) :],
    SOUND,
    st.sampled_from([b"\r", b'"', b"a", b",", b"\r\n"]),
    st.integers(0, 2**10),
)
"""Sound records, but for one thing that stands anywhere: what one check alone refuses."""


def found_in(records: Records) -> list[tuple[int, int, int, bool]]:
    arrays = (records.starts, records.ends, records.cells, records.bad)
    return list(zip(*(array.tolist() for array in arrays), strict=True))


@given(block=BLOCKS | LONG | NEARLY)
@settings(deadline=None, max_examples=examples(200))
def test_records_found_at_once_are_those_of_a_walk_byte_by_byte(block: bytes) -> None:
    found = find_records(block, Dialect(), last=True)
    assert found_in(found) == walked(block, last=True).records
    assert found.complete_bytes == len(block)
    assert found.blank.tolist() == (found.starts == found.ends).tolist()


@given(block=BLOCKS | LONG | REPEATED | NEARLY, last=st.booleans())
@settings(deadline=None, max_examples=examples(300))
@example(block=b'a,\r"b\nc",d\n', last=False)
def test_records_are_counted_as_they_are_found(block: bytes, last: bool) -> None:
    counted = count_records(block, Dialect(), last=last)
    found = find_records(block, Dialect(), last=last)
    assert (counted.count, counted.complete_bytes) == (found.count, found.complete_bytes)


@pytest.mark.parametrize("size", [0, 1, 64 * TAIL, 1000 * TAIL])
@pytest.mark.parametrize(
    "begun",
    [
        b'",""",\n',
        b'"a,""b""",\n',
        b'x"y\n',
        b'"a"b,"c\n',
        b'"x,"\ny\rz"\n',
        b'",""\r\n",\n',
        b"\r\n\n",
    ],
    ids=["held", "told", "stray", "open", "return", "returns", "blank"],
)
@pytest.mark.parametrize("end", [b"", b'"a', b'"a\n', b'"', b'"\r', b'a""', b',"",', b"\r"])
def test_records_are_counted_as_they_are_found_far_from_what_is_odd(
    begun: bytes, size: int, end: bytes
) -> None:
    block = begun + b"a,b\n" * (size // 4) + end
    counted = count_records(block, Dialect(), last=False)
    found = find_records(block, Dialect(), last=False)
    assert (counted.count, counted.complete_bytes) == (found.count, found.complete_bytes)


@given(block=BLOCKS | LONG, last=st.booleans(), delimiter=st.sampled_from(";|\t"))
@settings(deadline=None, max_examples=examples(50))
def test_another_dialect_finds_what_commas_and_double_quotes_would(
    block: bytes, last: bool, delimiter: str
) -> None:
    other = block.replace(b",", delimiter.encode()).replace(b'"', b"'")
    found = find_records(other, Dialect(delimiter=delimiter, quote="'"), last=last)
    assert found_in(found) == found_in(find_records(block, Dialect(), last=last))


@given(block=BLOCKS | LONG, more=BLOCKS | LONG)
@settings(deadline=None, max_examples=examples(200))
def test_wherever_a_block_ends_its_records_and_those_of_the_rest_are_those_of_the_whole(
    block: bytes, more: bytes
) -> None:
    part = find_records(block, Dialect(), last=False)
    whole = block + more
    begin = part.complete_bytes
    rest = find_records(whole[begin:], Dialect(), last=True)
    moved = [(start + begin, end + begin, *kept) for start, end, *kept in found_in(rest)]
    assert found_in(part) + moved == found_in(find_records(whole, Dialect(), last=True))


@pytest.mark.parametrize(
    ("block", "bad"),
    [
        (b'a,"b\nc,"multi\nx,y\nline"\nd,e\n', [True, True, True, False]),
        (b'a,"b\nc,"\nfoo\nx,y\nbar",z\nd,e\n', [True, True, True, True, False]),
        (b'5" pipe,1\n6,2\n8" pipe,4\n9,5\n', [True, False, True, False]),
        (b'"x"y,4\n5,6\n"q",7\n', [True, False, False]),
        (b'"x,",1\n5,6\n"q",7\n', [False, False, False]),
        (b'"x,",1\n5,6\n7",8\n', [True, True, True]),
    ],
    ids=[
        "unclosed",
        "unclosed and swallowed",
        "stray",
        "text after it",
        "comma",
        "comma and stray",
    ],
)
def test_what_an_unclosed_quote_may_have_torn_from_a_cell_is_no_row(
    block: bytes, bad: list[bool]
) -> None:
    assert find_records(block, Dialect(), last=True).bad.tolist() == bad


def test_a_block_of_sound_records_is_not_held_back() -> None:
    block = b'1,"a ""b""",\n2,"",""\n"x\n","y,","z"\n'
    assert find_records(block, Dialect(), last=False).complete_bytes == len(block)


def test_records_of_megabytes_are_found_as_those_of_bytes() -> None:
    record = b'1,"a ""b""\nc",\r\n'
    count = 2**21 // len(record)
    stray = b'x"y,1\n'
    found = find_records(record * count + stray + record * 3, Dialect(), last=True)
    sizes = [len(record)] * count + [len(stray)] + [len(record)] * 3
    assert found.starts.tolist() == [0, *itertools.accumulate(sizes[:-1])]
    assert found.bad.tolist() == [size == len(stray) for size in sizes]


@pytest.mark.parametrize("size", [1, 63, 64, 65, 127, 128, 129])
def test_marks_at_the_edges_of_words(size: int) -> None:
    block = b"\n" * size
    found = find_records(block, Dialect(), last=False)
    assert found.count == 0
    assert found.complete_bytes == len(found.starts) == size


@given(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63]), max_size=9))
def test_positions_are_those_of_the_bits(words: list[int]) -> None:
    bits = np.array(words, np.uint64)
    expected = [p for p in range(64 * len(words)) if words[p // 64] >> p % 64 & 1]
    assert marks.positions(bits).tolist() == expected


@given(block=st.binary(max_size=200), byte=st.integers(0, 255))
def test_bytes_are_where_they_are_and_nowhere_behind_the_block(block: bytes, byte: int) -> None:
    data = marks.bytes_of(block)
    where, below = marks.where(data, byte), marks.below(data, byte)
    assert marks.positions(where).tolist() == [p for p, held in enumerate(block) if held == byte]
    assert marks.positions(below).tolist() == [p for p, held in enumerate(block) if held < byte]
