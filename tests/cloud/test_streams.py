"""What is believed of streams of the Storage Write API."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2

from libs.bigquery.append_answers import refusal, response_refusal, written
from libs.bigquery.failures import StreamSealed
from libs.common.errors import ServiceError
from tests.cloud.places import differs
from tests.cloud.scratch import SECONDS, Scratch, codes, numbers, refusals
from tests.support.appending import COMMITTED, ONCE, PENDING, append_request, table_path
from tests.support.eventually import eventually

STREAMS = 20
LAG_SECONDS = 30


def test_rows_of_a_pending_stream_are_seen_after_its_commit_and_not_before(at: Scratch) -> None:
    table = at.table()
    stream = at.staged(table, numbers(3))
    assert at.count(table) == 0
    answer = at.commit(table, stream)
    assert (refusals(answer), bool(answer.commit_time)) == ([], True)
    assert at.count(table) == 3


def test_all_streams_of_a_commit_are_seen_at_once(at: Scratch) -> None:
    table = at.table()
    streams = [at.staged(table, numbers(2)) for _ in range(STREAMS)]
    seen, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(at.count(table))

    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read)
        try:
            assert refusals(at.commit(table, *streams)) == []
        finally:
            done.set()
        reading.result(SECONDS)
    assert set(seen) <= {0, 2 * STREAMS}
    assert at.count(table) == 2 * STREAMS


def test_with_one_stream_unknown_none_is_committed_and_it_is_named(at: Scratch) -> None:
    table = at.table()
    good, unknown = at.staged(table, numbers(3)), f"{table_path(table)}/streams/{uuid.uuid4().hex}"
    assert refusals(at.commit(table, good, unknown)) == [("STREAM_NOT_FOUND", unknown)]
    assert at.count(table) == 0
    assert refusals(at.commit(table, good)) == []


@differs("it answers INVALID_STREAM_STATE to a commit repeated")
def test_a_commit_repeated_is_told_that_it_was_made(at: Scratch) -> None:
    table = at.table()
    stream = at.staged(table, numbers(3))
    at.commit(table, stream)
    assert refusals(at.commit(table, stream)) == [("STREAM_ALREADY_COMMITTED", stream)]


def test_a_commit_repeated_changes_nothing_and_raises_nothing(at: Scratch) -> None:
    table = at.table()
    stream = at.staged(table, numbers(3))
    at.commit(table, stream)
    ((code, named),) = refusals(at.commit(table, stream))
    assert code in {"STREAM_ALREADY_COMMITTED", "INVALID_STREAM_STATE"}
    assert named == stream
    assert at.count(table) == 3


def test_a_stream_that_is_not_finalized_is_not_committed(at: Scratch) -> None:
    table = at.table()
    stream = at.open(table, PENDING)
    at.append(stream, numbers(3))
    assert refusals(at.commit(table, stream)) == [("INVALID_STREAM_STATE", stream)]
    assert at.count(table) == 0


@pytest.mark.parametrize("kind", [PENDING, COMMITTED], ids=["pending", "committed"])
def test_a_stream_can_be_finalized_again_and_answers_the_same_count(at: Scratch, kind: int) -> None:
    stream = at.open(at.table(), kind)
    at.append(stream, numbers(3))
    assert [at.seal(stream), at.seal(stream)] == [3, 3]


def test_finalizing_a_stream_that_never_was_is_not_found(at: Scratch) -> None:
    with pytest.raises(NotFound):
        at.seal(f"{table_path(at.table())}/streams/{uuid.uuid4().hex}")


def test_an_append_in_flight_while_its_stream_is_finalized_is_counted_or_refused(
    at: Scratch,
) -> None:
    table = at.table()
    stream = at.open(table, COMMITTED)
    with ThreadPoolExecutor(1) as threads:
        appending = threads.submit(answers_of, at, [append_request(stream, numbers(500_000), 0)])
        counted = at.seal(stream)
        (taken,) = appending.result(SECONDS)
    assert counted == (500_000 if taken == code_pb2.OK else 0)
    assert eventually(lambda: at.count(table) == counted, within=LAG_SECONDS)


def answers_of(at: Scratch, requests: Sequence[types.AppendRowsRequest]) -> list[int]:
    """Send requests on one connection; return the code of each answer, or of what ended it."""
    found = []
    try:
        for answer in at.writer.append_rows(iter(requests), retry=ONCE, timeout=SECONDS):
            found.append(answer.error.code)
    except GoogleAPICallError as error:
        found.append(error.grpc_status_code.value[0] if error.grpc_status_code else -1)
    return found


def test_an_append_after_the_seal_is_refused_as_sealed(at: Scratch) -> None:
    """In the answer or as the end of the call: our client takes both."""
    stream = at.open(at.table(), COMMITTED)
    at.append(stream, numbers(3))
    at.seal(stream)
    assert isinstance(refused(at, stream), StreamSealed)


def refused(at: Scratch, stream: str) -> ServiceError:
    """Return what our client makes of the answer to an append."""
    try:
        (answer,) = at.append(stream, numbers(1, 3), offset=3)
    except GoogleAPICallError as error:
        assert error.grpc_status_code, error  # noqa: PT017 whatever else it is, it is no answer
        return refusal(error.grpc_status_code.value[0], stream)
    return response_refusal(answer, stream)


def test_an_offset_is_taken_once_and_none_is_left_out_and_the_connection_goes_on(
    at: Scratch,
) -> None:
    """Each request names its stream."""
    table = at.table()
    stream = at.open(table, PENDING)
    requests = [append_request(stream, numbers(3), offset) for offset in (0, 0, 100, 3)]
    answers = list(at.writer.append_rows(iter(requests), retry=ONCE, timeout=SECONDS))
    assert codes(answers) == [code_pb2.OK, code_pb2.ALREADY_EXISTS, code_pb2.OUT_OF_RANGE, 0]
    assert [written(answer) for answer in answers] == [True, True, False, True]
    assert answers[-1].append_result.offset == 3
    assert at.seal(stream) == 6


def test_rows_whose_answer_was_lost_are_there_once_after_they_are_sent_again(at: Scratch) -> None:
    stream = at.open(at.table(), PENDING)
    sent, left = threading.Event(), threading.Event()

    def requests() -> Iterator[types.AppendRowsRequest]:
        yield append_request(stream, numbers(3), 0)
        sent.set()
        left.wait(SECONDS)

    call: Any = at.writer.append_rows(requests(), retry=ONCE, timeout=SECONDS)
    assert sent.wait(SECONDS)
    call.cancel()
    left.set()
    (answer,) = at.append(stream, numbers(3), offset=0)
    assert answer.error.code in {code_pb2.OK, code_pb2.ALREADY_EXISTS}
    assert at.seal(stream) == 3


def test_a_request_refused_for_its_rows_writes_none_and_leaves_the_offset(at: Scratch) -> None:
    table = at.table(("n", "INT64", "REQUIRED"))
    stream = at.open(table, PENDING)
    wrong = pa.RecordBatch.from_pydict({"n": pa.array([1, None], pa.int64())})
    (taken,) = answers_of(at, [append_request(stream, wrong, 0)])
    assert taken == code_pb2.INVALID_ARGUMENT
    assert codes(at.append(stream, numbers(2), offset=0)) == [code_pb2.OK]
    assert at.seal(stream) == 2


def test_a_column_that_the_table_does_not_have_is_refused(at: Scratch) -> None:
    stream = at.open(at.table(), PENDING)
    wrong = pa.RecordBatch.from_pydict({"n": pa.array([1], pa.int64()), "x": pa.array(["x"])})
    (taken,) = answers_of(at, [append_request(stream, wrong, 0)])
    assert taken == code_pb2.INVALID_ARGUMENT


def test_a_column_that_is_left_out_is_null(at: Scratch) -> None:
    table = at.table(("n", "INT64"), ("text", "STRING"))
    at.commit(table, at.staged(table, numbers(1)))
    assert at.rows(f"SELECT n, text FROM `{table}`") == [(0, None)]


def test_a_request_of_eight_mebibytes_is_taken(at: Scratch) -> None:
    stream = at.open(at.table(("text", "STRING")), PENDING)
    rows = pa.RecordBatch.from_pydict({"text": ["x" * 1024] * 8_100})
    assert len(rows.serialize()) > 8_000_000
    assert codes(at.append(stream, rows)) == [code_pb2.OK]


def test_rows_of_a_committed_stream_can_be_read_soon_after_they_are_acknowledged(
    at: Scratch,
) -> None:
    table = at.table()
    stream = at.open(table, COMMITTED)
    for first in range(0, 15, 3):
        at.append(stream, numbers(3, first), offset=first)
    assert eventually(lambda: at.count(table) == 15, within=LAG_SECONDS)


def test_a_table_just_created_accepts_streams(at: Scratch) -> None:
    for _ in range(5):
        table = at.table()
        at.commit(table, at.staged(table, numbers(1)))
        assert at.count(table) == 1


def test_a_stream_that_was_opened_before_a_column_was_added_goes_on(at: Scratch) -> None:
    table = at.table()
    stream = at.open(table, PENDING)
    at.append(stream, numbers(1), offset=0)
    at.run(f"ALTER TABLE `{table}` ADD COLUMN IF NOT EXISTS text STRING")
    assert codes(at.append(stream, numbers(1, 1), offset=1)) == [code_pb2.OK]
    at.seal(stream)
    assert refusals(at.commit(table, stream)) == []
    assert at.rows(f"SELECT n, text FROM `{table}` ORDER BY n") == [(0, None), (1, None)]


@differs("its SQL and its REST change different halves of a table's schema")
def test_a_column_just_added_by_sql_is_accepted_by_the_streams_that_are_opened_next(
    at: Scratch,
) -> None:
    for _ in range(5):
        table = at.table()
        at.run(f"ALTER TABLE `{table}` ADD COLUMN IF NOT EXISTS text STRING")
        rows = pa.RecordBatch.from_pydict({"n": pa.array([1], pa.int64()), "text": ["x"]})
        at.commit(table, at.staged(table, rows))
        assert at.rows(f"SELECT n, text FROM `{table}`") == [(1, "x")]
