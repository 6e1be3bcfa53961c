"""Requests as bytes are the messages that the client's own classes make."""

import pyarrow as pa
import pytest
from google.cloud.bigquery_storage_v1 import types
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.bigquery.append_wire import encoded
from tests.support.examples import examples


@given(
    stream=st.text(max_size=300),
    offset=st.integers(0, 2**62),
    rows=st.binary(max_size=300),
    schema=st.none() | st.binary(min_size=1, max_size=300),
)
@settings(deadline=None, max_examples=examples(100))
def test_any_request_reads_as_what_it_was_made_of(
    stream: str, offset: int, rows: bytes, schema: bytes | None
) -> None:
    found = types.AppendRowsRequest.deserialize(encoded(stream, offset, rows, schema=schema))
    expected = types.AppendRowsRequest.ArrowData(
        rows=types.ArrowRecordBatch(serialized_record_batch=rows)
    )
    if schema is not None:
        expected.writer_schema = types.ArrowSchema(serialized_schema=schema)
    assert found == types.AppendRowsRequest(write_stream=stream, offset=offset, arrow_rows=expected)


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 5_000_000])
def test_a_batch_of_any_size_is_in_it_as_it_is(size: int) -> None:
    rows = pa.py_buffer(b"\x01" * size)
    found = types.AppendRowsRequest.deserialize(encoded("s", 7, rows, schema=b"x"))
    assert found.arrow_rows.rows.serialized_record_batch == b"\x01" * size
    assert (found.write_stream, found.offset) == ("s", 7)
    assert found.arrow_rows.writer_schema.serialized_schema == b"x"
