"""Claims about appends, commits and what stands beside them."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final, cast

import grpc
import pyarrow as pa
from google.api_core.exceptions import InvalidArgument, NotFound
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

from tests.integration.engine.warehouse import CALL_SECONDS, Warehouse, failure_of, record
from tests.support.appending import COMMITTED, PENDING, append, append_request, open_stream
from tests.support.pausing import LATER, Pause, paused

REFUSED: Final = grpc.StatusCode.INVALID_ARGUMENT.value[0]
MORE_THAN_STOCK_TAKES: Final = 40
"""Stock has threads for the processors and four more, at most 32."""
MOMENT: Final = 3
"""Seconds after which a call that is answered at once, if at all, counts as waiting."""
PATIENCE: Final = 10
"""Seconds that a call may take which waits for nobody."""
LONG_DESCRIPTION: Final = 100_000
"""Characters, far more than a few rows take."""


@contextlib.contextmanager
def append_half_done(
    warehouse: Warehouse,
) -> Iterator[tuple[str, Pause, Future[list[types.AppendRowsResponse]], ThreadPoolExecutor]]:
    """Yield a COMMITTED stream on `t`, an append to it that has stored i=1 and not committed it,
    the pause that it stands at, and threads for what comes beside it."""
    assert warehouse.engine.pauses is not None
    table = warehouse.table("t", ("i", "INT64"))
    stream = open_stream(warehouse.writer, table, COMMITTED)
    with ThreadPoolExecutor(2) as threads, paused(warehouse.engine.pauses, "t") as pause:
        appended = threads.submit(append, warehouse.writer, stream, record(i=[1]))
        pause.reached()
        yield stream, pause, appended, threads


def queries_see_no_append_in_progress(warehouse: Warehouse) -> None:
    with append_half_done(warehouse) as (_, pause, appended, _):
        assert warehouse.rows("SELECT i FROM `{d}.t`") == []
        pause.end()
        assert _messages(appended.result(CALL_SECONDS)) == [""]
    assert warehouse.rows("SELECT i FROM `{d}.t`") == [(1,)]


def a_query_does_not_wait_for_an_append(warehouse: Warehouse) -> None:
    with append_half_done(warehouse) as (_, pause, appended, _):
        assert warehouse.rows("SELECT COUNT(*) AS n FROM `{d}.t`", seconds=PATIENCE) == [(0,)]
        pause.end()
        assert _messages(appended.result(CALL_SECONDS)) == [""]


def a_statement_waits_for_an_append(warehouse: Warehouse) -> None:
    with append_half_done(warehouse) as (_, pause, appended, threads):
        change = threads.submit(warehouse.run, "ALTER TABLE `{d}.t` ADD COLUMN c INT64")
        assert not wait([change], timeout=MOMENT).done
        pause.end()
        assert _messages(appended.result(CALL_SECONDS)) == [""]
        change.result(CALL_SECONDS)
    assert warehouse.rows("SELECT i, c FROM `{d}.t`") == [(1, None)]


def an_append_goes_on_beside_a_commit(warehouse: Warehouse) -> None:
    """To another table; one to the same waits until the rows are committed."""
    assert warehouse.engine.pauses is not None
    table, other = (warehouse.table(name, ("i", "INT64")) for name in ("t", "journal"))
    staged = warehouse.stage(table, record(i=[1]))
    with ThreadPoolExecutor(2) as threads, paused(warehouse.engine.pauses, "t") as pause:
        committed = threads.submit(warehouse.commit, table, staged)
        pause.reached()
        _goes_on_beside(warehouse, table, other, pause, threads)
        assert committed.result(CALL_SECONDS).commit_time
    assert warehouse.rows("SELECT i FROM `{d}.t` ORDER BY i") == [(1,), (2,)]


def an_append_goes_on_beside_a_statement(warehouse: Warehouse) -> None:
    """On another table, and so does what the statement's job leaves in the catalog."""
    assert warehouse.engine.pauses is not None
    table, other = (warehouse.table(name, ("i", "INT64")) for name in ("t", "journal"))
    insert, job = "INSERT INTO `{d}.t` (i) VALUES (1)", uuid.uuid4().hex
    with ThreadPoolExecutor(2) as threads, paused(warehouse.engine.pauses, job) as pause:
        inserted = threads.submit(warehouse.run, insert, job_id=job)
        pause.reached()
        _goes_on_beside(warehouse, table, other, pause, threads)
        assert inserted.result(CALL_SECONDS).num_dml_affected_rows == 1
    assert warehouse.rows("SELECT i FROM `{d}.t` ORDER BY i") == [(1,), (2,)]


def an_append_goes_on_beside_a_table_that_is_made(warehouse: Warehouse) -> None:
    """By REST, and beside one that is dropped."""
    assert warehouse.engine.pauses is not None
    journal = open_stream(warehouse.writer, warehouse.table("journal", ("i", "INT64")), COMMITTED)
    made = f"{warehouse.dataset}.t"
    changes = (lambda: warehouse.table("t", ("i", "INT64")), lambda: warehouse.drop(made))
    with ThreadPoolExecutor(1) as threads:
        for i, change in enumerate(changes):
            with paused(warehouse.engine.pauses, "t") as pause:
                changed = threads.submit(change)
                pause.reached()
                rows = record(i=[i])
                answers = append(warehouse.writer, journal, rows, offset=i, seconds=PATIENCE)
                assert _messages(answers) == [""]
            changed.result(CALL_SECONDS)
    assert warehouse.seal(journal) == 2


def _goes_on_beside(
    warehouse: Warehouse, table: str, other: str, pause: Pause, threads: ThreadPoolExecutor
) -> None:
    """Append to `other` while a change of `table` stands still, and to `table` until it has ended."""
    journal = open_stream(warehouse.writer, other, COMMITTED, seconds=PATIENCE)
    for i in range(3):
        answers = append(warehouse.writer, journal, record(i=[i]), offset=i, seconds=PATIENCE)
        assert _messages(answers) == [""]
    own = open_stream(warehouse.writer, table, COMMITTED)
    waits = threads.submit(append, warehouse.writer, own, record(i=[2]))
    assert not wait([waits], timeout=MOMENT).done
    pause.end()
    assert _messages(waits.result(CALL_SECONDS)) == [""]
    assert warehouse.seal(journal) == 3


def a_seal_waits_for_an_append(warehouse: Warehouse) -> None:
    with append_half_done(warehouse) as (stream, pause, appended, threads):
        seal = threads.submit(warehouse.seal, stream)
        assert not wait([seal], timeout=MOMENT).done
        pause.end()
        assert seal.result(CALL_SECONDS) == 1
        assert _messages(appended.result(CALL_SECONDS)) == [""]
    assert warehouse.rows("SELECT i FROM `{d}.t`") == [(1,)]


def a_write_copies_nothing(warehouse: Warehouse) -> None:
    copies = "SELECT COUNT(*) AS n FROM duckdb_tables() WHERE schema_name = '_bqemulator_snapshots'"
    warehouse.table("t", ("i", "INT64"))
    warehouse.run("INSERT INTO `{d}.t` (i) VALUES (1)")
    assert warehouse.rows(copies) == [(0,)]


def an_append_writes_its_rows_alone(warehouse: Warehouse) -> None:
    """And how many rows the table has is listed, before and after the engine is killed."""
    assert warehouse.engine.data_dir is not None
    schema = [bigquery.SchemaField("i", "INT64", description="d" * LONG_DESCRIPTION)]
    name = f"{warehouse.dataset}.t"
    warehouse.client.create_table(bigquery.Table(name, schema))
    before = _stored_bytes(warehouse.engine.data_dir)
    warehouse.load(name, record(i=[1, 2]))
    assert _stored_bytes(warehouse.engine.data_dir) - before < LONG_DESCRIPTION
    assert warehouse.client.get_table(name).num_rows == 2
    warehouse.engine.kill()
    warehouse.engine.restart()
    with warehouse.again() as restarted:
        assert restarted.client.get_table(name).num_rows == 2


def _stored_bytes(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def a_failed_commit_stores_nothing(warehouse: Warehouse) -> None:
    """And the streams that were right can be committed without the wrong one."""
    table = warehouse.table("t", ("i", "INT64"), ("j", "JSON"))
    streams = warehouse.stage(table, record(i=[1], j=["{}"]), record(i=[2], j=["{"]))
    refused = failure_of(lambda: warehouse.commit(table, streams))
    assert warehouse.rows("SELECT i FROM `{d}.t`") == []
    assert isinstance(refused, InvalidArgument)
    assert warehouse.commit(table, streams[:1]).commit_time
    assert warehouse.rows("SELECT i FROM `{d}.t`") == [(1,)]


def a_failed_append_may_be_repeated(warehouse: Warehouse) -> None:
    """A COMMITTED append refused by the database is taken, put right, at the same offset."""
    table = warehouse.table("t", ("i", "INT64"), ("j", "JSON"))
    stream = open_stream(warehouse.writer, table, COMMITTED)
    tries = (record(i=[1], j=["{"]), record(i=[1], j=["{}"]), record(i=[2], j=["{}"]))
    requests = [append_request(stream, rows, max(0, n - 1)) for n, rows in enumerate(tries)]
    responses = warehouse.writer.append_rows(iter(requests), timeout=CALL_SECONDS)
    assert [response.error.code for response in responses] == [REFUSED, 0, 0]
    assert warehouse.rows("SELECT i FROM `{d}.t` ORDER BY i") == [(1,), (2,)]
    assert warehouse.seal(stream) == 2


def open_connections_leave_room_for_more(warehouse: Warehouse) -> None:
    table = warehouse.table("t", ("i", "INT64"))
    streams = [
        open_stream(warehouse.writer, table, PENDING) for _ in range(MORE_THAN_STOCK_TAKES + 1)
    ]
    end = threading.Event()

    def requests(stream: str) -> Iterator[types.AppendRowsRequest]:
        yield append_request(stream, record(i=[1]))
        end.wait()

    with contextlib.ExitStack() as open_calls:
        for stream in streams[1:]:
            # The client itself would wait for the first answer, which may never come.
            open_call = cast("Callable[..., grpc.Call]", warehouse.writer.transport.append_rows)
            open_calls.callback(open_call(requests(stream)).cancel)
        open_calls.callback(end.set)
        assert _messages(append(warehouse.writer, streams[0], record(i=[1]), seconds=PATIENCE)) == [
            ""
        ]


def wrong_rows_are_refused(warehouse: Warehouse) -> None:
    """An unknown column, and a null in a REQUIRED one; a name in another case is right."""
    table = warehouse.table("t", ("i", "INT64", "REQUIRED"), ("n", "STRING"))
    null = pa.RecordBatch.from_arrays([pa.array([None], pa.int64())], names=["i"])
    batches = (record(i=[1], other=["x"]), record(n=["x"]), null, record(I=[1], N=["x"]))
    stream = open_stream(warehouse.writer, table, PENDING)
    responses = append(warehouse.writer, stream, *batches)
    assert [response.error.code for response in responses] == [REFUSED, REFUSED, REFUSED, 0]
    warehouse.seal(stream)
    warehouse.commit(table, [stream])
    assert warehouse.rows("SELECT i, n FROM `{d}.t`") == [(1, "x")]


def a_stream_outlives_a_new_column(warehouse: Warehouse) -> None:
    """From before it was added, through the moment when only the table has it, to after it."""
    table = warehouse.table("t", ("i", "INT64"))
    stream = open_stream(warehouse.writer, table, PENDING)
    journal = open_stream(warehouse.writer, table, COMMITTED)
    answers = append(warehouse.writer, stream, record(i=[1]))
    warehouse.run("ALTER TABLE `{d}.t` ADD COLUMN b STRING")
    warehouse.run("ALTER TABLE `{d}.t` ADD COLUMN a STRING")
    answers += append(warehouse.writer, journal, record(i=[2]))
    warehouse.relist("t", ("i", "INT64"), ("a", "STRING"), ("b", "STRING"))
    answers += append(warehouse.writer, stream, record(i=[3], a=["a"], b=["b"]))
    assert _messages(answers) == ["", "", ""]
    warehouse.seal(stream)
    assert warehouse.commit(table, [stream]).commit_time
    found = warehouse.rows("SELECT i, a, b FROM `{d}.t` ORDER BY i")
    assert found == [(1, None, None), (2, None, None), (3, "a", "b")]


def what_waits_takes_no_memory(warehouse: Warehouse) -> None:
    """After one stream of 35 MiB seven more take less memory than three; all are committed."""
    table = warehouse.table("t", ("i", "INT64"), ("s", "STRING"))
    batches = [
        record(i=range(n, n + 1000), s=[f"{n}" * 1024] * 1000) for n in range(1000, 10000, 1000)
    ]
    streams = [open_stream(warehouse.writer, table, PENDING) for _ in range(8)]
    taken = []
    for stream in streams:
        assert _messages(append(warehouse.writer, stream, *batches)) == [""] * len(batches)
        taken.append(_anonymous_bytes(warehouse))
    assert [warehouse.seal(stream) for stream in streams] == [9000] * 8
    assert warehouse.rows("SELECT COUNT(*) AS n FROM `{d}.t`") == [(0,)]
    assert warehouse.commit(table, streams).commit_time
    found = "SELECT COUNT(*) AS n, COUNT(DISTINCT i) AS d, SUM(LENGTH(s)) AS c FROM `{d}.t`"
    assert warehouse.rows(found) == [(72000, 9000, 72000 * 4096)]
    assert taken[-1] - taken[0] < 3 * sum(batch.nbytes for batch in batches)


def a_commit_reads_no_further_than_it_writes(warehouse: Warehouse) -> None:
    """Of 366 MiB that wait, less than a quarter is ever in memory."""
    table = warehouse.table("t", ("i", "INT64"))
    rows = record(i=range(1_000_000))
    streams = [open_stream(warehouse.writer, table, PENDING) for _ in range(8)]
    for stream in streams:
        assert _messages(append(warehouse.writer, stream, *[rows] * 6)) == [""] * 6
        warehouse.seal(stream)
    peak = _from_now_on(warehouse)
    before = peak()
    assert warehouse.commit(table, streams).commit_time
    assert peak() - before < 48 * rows.nbytes / 4


def an_abandoned_stream_ends(warehouse: Warehouse) -> None:
    """A PENDING one a day after it was opened, four hours after its seal; a journal never."""
    table = warehouse.table("t", ("i", "INT64"))
    journal = open_stream(warehouse.writer, table, COMMITTED)
    opened = open_stream(warehouse.writer, table, PENDING)
    (sealed,) = warehouse.stage(table, record(i=[1]))
    with later(warehouse, hours=5):
        young = open_stream(warehouse.writer, table, PENDING)
        assert isinstance(failure_of(lambda: warehouse.seal(sealed)), NotFound)
        assert _messages(append(warehouse.writer, opened, record(i=[2]))) == [""]
    with later(warehouse, hours=25):
        open_stream(warehouse.writer, table, PENDING)
        assert isinstance(failure_of(lambda: warehouse.seal(opened)), NotFound)
        assert warehouse.seal(young) == 0
        assert warehouse.seal(journal) == 0


@contextlib.contextmanager
def later(warehouse: Warehouse, *, hours: int) -> Iterator[None]:
    """Let streams be so much older inside the block."""
    assert warehouse.engine.pauses is not None
    clock = warehouse.engine.pauses / LATER
    clock.write_text(str(hours * 3600), encoding="utf-8")
    try:
        yield
    finally:
        clock.unlink()


def _anonymous_bytes(warehouse: Warehouse) -> int:
    """Return the engine's memory that is no file's."""
    return _bytes(warehouse, "RssAnon")


def _bytes(warehouse: Warehouse, field: str) -> int:
    status = Path(f"/proc/{warehouse.engine.process.pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def _from_now_on(warehouse: Warehouse) -> Callable[[], int]:
    """Return what gives the most memory that the engine has had since this call."""
    Path(f"/proc/{warehouse.engine.process.pid}/clear_refs").write_text("5", encoding="ascii")
    return lambda: _bytes(warehouse, "VmHWM")


def _messages(answers: list[types.AppendRowsResponse]) -> list[str]:
    """Return what each append was refused with, empty for those that were stored."""
    return [answer.error.message for answer in answers]
