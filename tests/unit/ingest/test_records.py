"""Where records are: found all at once or scanned, they are the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.sources.records import Dialect, find_records
from services.ingest.sources.scanning import scan

BLOCKS = st.lists(
    st.sampled_from([b"a", b",", b'"', b'""', b'"a"', b"\n", b"\r\n", b"\r", b"\xff", b"x,y\n"]),
    max_size=20,
).map(b"".join)


@given(block=BLOCKS, last=st.booleans())
@settings(deadline=None, max_examples=150)
def test_records_found_at_once_are_those_that_a_scan_finds(block: bytes, last: bool) -> None:
    found = find_records(block, Dialect(), last=last)
    scanned = scan(block, ",", '"', last=last)
    following = [*found.starts.to_list()[1:], found.complete_bytes][: len(found.starts)]
    assert following == [min(end + 1, len(block)) for end in scanned.breaks]
    assert found.bad.to_list() == scanned.bad
    assert found.cells.to_list() == scanned.cells


@given(block=BLOCKS, more=BLOCKS)
@settings(deadline=None, max_examples=150)
def test_records_of_a_blocks_beginning_are_those_of_the_whole(block: bytes, more: bytes) -> None:
    part = find_records(block, Dialect(), last=False)
    whole = find_records(block + more, Dialect(), last=True)
    count = len(part.starts)
    assert part.starts.to_list() == whole.starts.to_list()[:count]
    assert part.bad.to_list() == whole.bad.to_list()[:count]
    assert part.blank.to_list() == whole.blank.to_list()[:count]
