"""Rows that wait for their commit come back as they came, from memory and from a file."""

import copy
import resource
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from libs.local.engine import waiting
from libs.local.engine.waiting import Room, Together, WaitingRows

FEW = 10
MANY = waiting.IN_MEMORY_BYTES // 8


def rows(count: int, *names: str) -> pa.Table:
    """Return columns that count from 0."""
    return pa.table({name: pa.array(range(count), pa.int64()) for name in names or ("i",)})


def read(*streams: WaitingRows) -> list[dict[str, object]]:
    """Return the rows of streams as their commit would read them."""
    found: list[dict[str, object]] = pa.table(Together(streams)).to_pylist()
    return found


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.mark.parametrize("counts", [[FEW], [FEW, FEW], [MANY], [MANY, FEW], [FEW, MANY, MANY, FEW]])
def test_rows_come_back_in_order(room: Room, counts: Sequence[int]) -> None:
    stream = WaitingRows(room)
    for count in counts:
        stream.append(rows(count))
    assert stream.num_rows == sum(counts)
    assert read(stream) == [{"i": i} for count in counts for i in range(count)]


def test_they_can_be_read_twice(room: Room) -> None:
    """A commit that failed is repeated."""
    stream = WaitingRows(room)
    stream.append(rows(MANY))
    assert read(stream) == read(stream)


def test_a_column_that_came_later_is_null_before(room: Room) -> None:
    stream, other = WaitingRows(room), WaitingRows(room)
    stream.append(rows(MANY))
    stream.append(rows(MANY, "i", "later"))
    stream.append(rows(1, "i"))
    other.append(rows(1, "later"))
    found = pa.table(Together([stream, other]))
    assert found.column_names == ["i", "later"]
    assert found.column("later").null_count == MANY + 1
    assert found.column("i").null_count == 1
    assert found.num_rows == 2 * MANY + 2


def test_a_copy_keeps_what_the_original_forgets(room: Room) -> None:
    stream = WaitingRows(room)
    stream.append(rows(MANY))
    stream.append(rows(FEW))
    kept = copy.copy(stream)
    stream.clear()
    assert (stream.num_rows, len(stream)) == (0, 0)
    assert len(read(kept)) == MANY + FEW


def test_many_small_streams_take_no_more_than_their_room(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "ALL_IN_MEMORY_BYTES", 20 * rows(FEW).nbytes)
    streams = [WaitingRows(room) for _ in range(100)]
    for stream in streams:
        stream.append(rows(FEW))
    assert room.take(0) < waiting.ALL_IN_MEMORY_BYTES
    assert all(len(read(stream)) == FEW for stream in streams)


def test_the_room_is_given_back(room: Room) -> None:
    stream = WaitingRows(room)
    stream.append(rows(FEW))
    assert room.take(0) == rows(FEW).nbytes
    kept = copy.copy(stream)
    stream.clear()
    assert room.take(0) == rows(FEW).nbytes
    del kept
    assert room.take(0) == 0


def test_no_file_has_a_name(room: Room, tmp_path: Path) -> None:
    """So that it ends with the process."""
    stream = WaitingRows(room)
    stream.append(rows(MANY))
    assert list(tmp_path.iterdir()) == []
    assert stream.num_rows == MANY


def test_rows_that_cannot_be_written_are_not_added(room: Room) -> None:
    stream = WaitingRows(room)
    stream.append(rows(MANY))
    stream.append(rows(FEW))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MANY, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            stream.append(rows(MANY))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert room.take(0) == rows(FEW).nbytes
    stream.append(rows(MANY))
    assert [row["i"] for row in read(stream)] == [*range(MANY), *range(FEW), *range(MANY)]
