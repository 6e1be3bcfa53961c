"""JSON files: arrays and pages, record by record, wherever blocks end."""

import io
import json
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.failures import SourceMalformed
from services.ingest.sources import json_tokens
from services.ingest.sources.json_file import JsonReader, Pages
from services.ingest.sources.source import RawBatch, Reading
from tests.support.examples import examples
from tests.unit.ingest.reading import columns

SCHEMA = columns("a", "b JSON", "day", "extra JSON")
BUCKETS = Pages(records=("data", "results"), taken_over=("day",))


def read(data: bytes, pages: Pages, block_bytes: int, fewest: int = 1) -> list[RawBatch]:
    reader = JsonReader(pages, block_bytes=block_bytes, fewest=fewest)
    reading = Reading(columns=SCHEMA, cancelled=threading.Event())
    return list(reader.read_stream(io.BytesIO(data), "f", reading))


def told(data: bytes, pages: Pages, block_bytes: int) -> Any:
    """Return rows with their numbers, and rejects; or why the file is refused."""
    try:
        batches = read(data, pages, block_bytes)
    except SourceMalformed as refused:
        return str(refused)
    rows = [
        (number, row, raw)
        for batch in batches
        for number, row, raw in zip(
            batch.row_numbers.to_list(),
            batch.rows.rows(),
            batch.raw_rows(list(range(batch.rows.height))),
            strict=True,
        )
    ]
    return rows, [reject for batch in batches for reject in batch.rejects]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(alphabet=st.sampled_from('a"\\[]{},: é\n'), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "x", '"]']), inner, max_size=3)
    ),
    max_leaves=5,
)
RECORDS = st.dictionaries(st.sampled_from(["a", "b", "day", "z"]), VALUES, max_size=4)
SIZES = st.sampled_from([1, 2, 7, 64, 4096])


@given(
    pages=st.lists(st.lists(RECORDS, max_size=5), min_size=1, max_size=3),
    indent=st.sampled_from([None, 1]),
    block_bytes=SIZES,
)
@settings(deadline=None, max_examples=examples(30))
def test_arrays_are_read_record_by_record(
    pages: list[list[dict[str, Any]]], indent: int | None, block_bytes: int
) -> None:
    data = "\n".join(json.dumps(page, indent=indent) for page in pages).encode()
    rows, rejects = told(data, Pages(), block_bytes)
    assert rejects == []
    assert [json.loads(raw) for _, _, raw in rows] == [one for page in pages for one in page]
    assert [number for number, _, _ in rows] == list(range(len(rows)))
    assert (rows, rejects) == told(data, Pages(), 1 << 20)


@given(
    buckets=st.lists(st.tuples(st.integers(0, 9), st.lists(RECORDS, max_size=4)), max_size=4),
    beside=VALUES,
    block_bytes=SIZES,
)
@settings(deadline=None, max_examples=examples(30))
def test_records_of_pages_take_over_what_stands_around_them(
    buckets: list[tuple[int, list[dict[str, Any]]]], beside: Any, block_bytes: int
) -> None:
    data = [{"x": beside, "day": day, "results": found, "y": beside} for day, found in buckets]
    text = json.dumps({"object": beside, "data": data, "has_more": False}).encode()
    rows, rejects = told(text, BUCKETS, block_bytes)
    assert rejects == []
    expected = [{**one, "day": one.get("day", day)} for day, found in buckets for one in found]
    assert [json.loads(raw) for _, _, raw in rows] == expected
    days = [None if one["day"] is None else one["day"] for one in expected]
    assert [row[2] is None for _, row, _ in rows] == [day is None for day in days]
    assert (rows, rejects) == told(text, BUCKETS, 1 << 20)


NOISE = st.sampled_from(
    [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xff", b"1", b" ", b"null"]
)


@given(data=st.data(), block_bytes=SIZES)
@settings(deadline=None, max_examples=examples(100))
def test_a_changed_file_is_refused_or_read_the_same_wherever_blocks_end(
    data: st.DataObject, block_bytes: int
) -> None:
    text = bytearray(
        b'{"day": 1, "data": [{"day": "x\\"]", "results": [{"a": "}"}, {"b": [1, {}]}], "n": {"k": [2]}}]} '
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(NOISE)
    whole = told(bytes(text), BUCKETS, 1 << 20)
    cut = told(bytes(text), BUCKETS, block_bytes)
    if isinstance(whole, str):
        assert isinstance(cut, str)
        return
    assert cut == whole
    numbers = [number for number, _, _ in whole[0]] + [reject.row_number for reject in whole[1]]
    assert sorted(numbers) == list(range(len(numbers)))
    if not whole[1]:
        json.loads(text)


@pytest.mark.parametrize(
    ("text", "pages", "why"),
    [
        (b'[{"a":1}', Pages(), "ends in the middle of a record at byte 8"),
        (b'[{"a":1},]', Pages(), "found no record at byte 9"),
        (b"[,]", Pages(), "found no record at byte 1"),
        (b'[{"a":1}}', Pages(), "neither comma nor ] at byte 8"),
        (b'[{"a":1},{"a":1]},{"a":1}]', Pages(), "neither comma nor ] at byte 16"),
        (b'[{"a":1} {"a":1}]', Pages(), "Extra data at byte 9"),
        (b'[{"a":tru},{"a":1}]', Pages(), "Expecting value at byte 6"),
        (b'[{"a":1}] x', Pages(), "no array or object at byte 9"),
        (b'[{"a":1}],[{"a":1}]', Pages(), "byte 9"),
        (b"1", Pages(), "no array or object at byte 0"),
        (b'{"data":[]}', Pages(), "set the source's records"),
        (b'{"error":"x"}', BUCKETS, "an object without data at byte"),
        (b'{"data":[{"day":1}]}', BUCKETS, "an object without results at byte"),
        (b'{"data":[{"results":[],"day":1}]}', BUCKETS, "found day, which records take over, behind the records at byte"),
        (b'{"data":[],"data":[]}', BUCKETS, "the name 'data' twice in an object at byte"),
        (b'{"data":7}', BUCKETS, "data that is neither array nor object at byte"),
        (b'{"data":[7]}', BUCKETS, "found no value that is an object with results at byte"),
        (b'{"x":nul,"data":[]}', BUCKETS, "found no JSON"),
        (b'{"data":[]', BUCKETS, "ends in the middle of a page at byte 10"),
        (b'{"data":' + b"[" * 200 + b"]" * 200 + b"}", BUCKETS, "more than 100 levels"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_the_byte(text: bytes, pages: Pages, why: str) -> None:
    for block_bytes in (3, 1 << 20):
        said = told(text, pages, block_bytes)
        assert isinstance(said, str)
        assert why in said


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"7", "no object but 7"),
        (b'{"a":NaN}', "NaN is no JSON number"),
        (b'{"a":1,"a":2}', "'a' stands twice"),
        (b'{"a":"\\ud800"}', "half of a surrogate pair"),
        (b'{"a":"\xff"}', "no UTF-8"),
        (b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", "more than 100 levels"),
    ],
)
def test_a_record_that_is_no_row_is_rejected_alone(record: bytes, why: str) -> None:
    rows, (reject,) = told(b'[{"a":1},' + record + b',{"a":2.50}]', Pages(), 5)
    assert [(number, row[0]) for number, row, _ in rows] == [(0, "1"), (2, "2.50")]
    assert reject.row_number == 1
    assert why in reject.detail


def test_an_array_of_nothing_is_none_and_null_is_no_array() -> None:
    assert told(b'{"data":null} {"data":[{"results":[ ]},{"results":null}]}', BUCKETS, 4) == (
        [],
        [],
    )
    assert told(b"[" + b" " * 200 + b"]", Pages(), 4) == ([], [])


def test_a_record_of_more_than_64_mib_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ingest.sources.json_file.LONGEST", 100)
    monkeypatch.setattr(json_tokens, "LONGEST", 100)
    long = b'{"a":"' + b"x" * 200 + b'"}'
    for block_bytes in (8, 1 << 20):
        assert "64 MiB" in told(b'[{"a":1},' + long + b"]", Pages(), block_bytes)
        assert "64 MiB" in told(b'{"x":' + long + b',"data":[]}', BUCKETS, 8)
    assert len(told(b"[" + b'{"a":1},' * 999 + b'{"a":1}]', Pages(), 8)[0]) == 1000
