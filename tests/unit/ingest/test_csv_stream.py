"""A text that arrives as a stream is read as the same bytes in a file are."""

import io
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.failures import Cancelled, ColumnMissing, SourceEmpty
from services.ingest.sources.csv_reader import CsvReader
from services.ingest.sources.records import Dialect
from services.ingest.sources.source import RawBatch, Reading
from tests.support.examples import examples
from tests.unit.ingest.reading import columns, read_bytes

AB = columns("a", "b")
NOISE = st.lists(
    st.sampled_from([b"x,y\n", b"x", b",", b'"', b'""', b"\n", b"\r\n", "é".encode(), b"\xff"]),
    max_size=25,
).map(b"".join)


class Trickling:
    """A stream that gives fewer bytes than it is asked for."""

    def __init__(self, data: bytes, most: int) -> None:
        self._file = io.BytesIO(data)
        self._most = most

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, self._most))


def streamed(data: bytes, *, most: int = 7, block_bytes: int = 64) -> list[RawBatch]:
    reader = CsvReader(Dialect(), block_bytes=block_bytes)
    reading = Reading(columns=AB, cancelled=threading.Event())
    return list(reader.read_stream(Trickling(data, most), "f", reading))


@given(noise=NOISE, most=st.integers(1, 40), block_bytes=st.sampled_from([3, 16, 1000]))
@settings(deadline=None, max_examples=examples(60))
def test_a_text_that_trickles_is_read_as_the_file_is(
    noise: bytes, most: int, block_bytes: int
) -> None:
    data = b"\xef\xbb\xbfb,a\nfirst,row\n" + noise
    batches = streamed(data, most=most, block_bytes=block_bytes)
    whole = read_bytes("csv", data, AB)
    rows = [row for b in batches for row in zip(b.row_numbers, b.rows.rows(), strict=True)]
    assert rows == whole.rows
    rejects = [r for b in batches for r in b.rejects]
    assert sorted(rejects, key=str) == sorted(whole.rejects, key=str)
    assert sum(b.read_bytes for b in batches) == len(data) - len(b"\xef\xbb\xbfb,a\n")


def test_a_stream_without_a_header_of_the_schema_is_refused() -> None:
    with pytest.raises(ColumnMissing):
        streamed(b"a,c\n1,2\n")
    with pytest.raises(SourceEmpty):
        streamed(b"")


def test_a_stream_stops_when_the_caller_is_gone() -> None:
    reader = CsvReader(Dialect(), block_bytes=4)
    cancelled = threading.Event()
    stream = Trickling(b"a,b\n" + b"1,2\n" * 9, 4)
    batches = reader.read_stream(stream, "f", Reading(columns=AB, cancelled=cancelled))
    cancelled.set()
    with pytest.raises(Cancelled):
        list(batches)
