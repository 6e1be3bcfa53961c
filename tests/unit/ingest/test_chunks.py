"""The same work has the same id, and other work another."""

import dataclasses
import datetime as dt
import io
import itertools
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from convergence.ingest.v1 import chunk_pb2

from services.ingest.chunks import (
    ByteRange,
    Chunk,
    Input,
    Part,
    ReportWindow,
    RowGroups,
    WholeFile,
    chunk_id,
    chunk_of,
    fewer,
)
from services.ingest.failures import Cancelled
from services.ingest.messages import chunk_message
from services.ingest.requests import chunk_of_message
from tests.unit.ingest.reading import Format, columns, files, read_all, read_bytes, splitting

INPUT = Input(input_id="bills/a.csv", content_hash="00ff", size_bytes=9, change_time_nanos=5)
BYTES = ByteRange(start=2, end=9, first_row_number=0, header=("a", "b"))
DAY = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
PARTS: list[Part] = [
    BYTES,
    RowGroups(start=0, end=2, first_row_number=0),
    WholeFile(),
    ReportWindow(report="costs", start_time=DAY, end_time=DAY + dt.timedelta(days=1)),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_the_same_work_has_the_same_id(part: Part) -> None:
    assert chunk_id(dataclasses.replace(INPUT), dataclasses.replace(part), "spec") == chunk_id(
        INPUT, part, "spec"
    )


@pytest.mark.parametrize(
    ("input_", "part", "spec"),
    [
        ({"input_id": "bills/b.csv"}, {}, "spec"),
        ({"content_hash": "00fe"}, {}, "spec"),
        ({}, {"start": 3}, "spec"),
        ({}, {"end": 8}, "spec"),
        ({}, {"first_row_number": 1}, "spec"),
        ({}, {"header": ("a", "c")}, "spec"),
        ({}, {}, "another"),
    ],
    ids=["name", "content", "start", "end", "row number", "header", "spec"],
)
def test_other_work_has_another_id(input_: dict[str, Any], part: dict[str, Any], spec: str) -> None:
    other = chunk_id(dataclasses.replace(INPUT, **input_), dataclasses.replace(BYTES, **part), spec)
    assert other != chunk_id(INPUT, BYTES, "spec")


def test_row_groups_and_bytes_of_the_same_numbers_are_other_work() -> None:
    groups = RowGroups(start=2, end=9, first_row_number=0)
    bytes_ = ByteRange(start=2, end=9, first_row_number=0)
    assert chunk_id(INPUT, groups, "spec") != chunk_id(INPUT, bytes_, "spec")


def test_a_copy_of_a_file_made_later_is_the_same_work() -> None:
    later = dataclasses.replace(INPUT, change_time_nanos=6)
    assert chunk_id(later, BYTES, "spec") == chunk_id(INPUT, BYTES, "spec")


def test_planning_a_file_twice_gives_the_same_chunks() -> None:
    data = b"a,b\n" + b"1,2\n" * 5_000
    first = read_bytes("csv", data, columns("a", "b"), chunk_bytes=4096).plan.chunks
    again = read_bytes("csv", data, columns("a", "b"), chunk_bytes=4096).plan.chunks
    assert [chunk.chunk_id for chunk in first] == [chunk.chunk_id for chunk in again]
    assert len(first) == 5


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_a_chunk_survives_its_way_to_the_orchestrator_and_back(part: Part) -> None:
    chunk = chunk_of(INPUT, part, "spec", estimated_bytes=7, expected_row_count=3)
    message = chunk_message(chunk)
    assert message.expected_row_count == 3
    there_and_back = chunk_pb2.Chunk.FromString(message.SerializeToString())
    expected = Chunk(chunk_id=chunk.chunk_id, input=INPUT, part=part, estimated_bytes=7)
    assert chunk_of_message(there_and_back) == expected


def test_a_count_that_the_source_does_not_say_is_unset() -> None:
    assert not chunk_message(chunk_of(INPUT, PARTS[2], "spec")).HasField("expected_row_count")


def groups(count: int) -> bytes:
    """Return a Parquet file of row groups of one row."""
    out = io.BytesIO()
    pq.write_table(pa.table({"a": ["x"] * count}), out, row_group_size=1)
    return out.getvalue()


LARGE: dict[Format, bytes] = {
    "csv": b"a\n" + b"12345678\n" * 1_000_000,
    "ndjson": b'{"a":1}\n' * 1_100_000,
}
MANY: dict[Format, tuple[bytes, int]] = {
    "csv": (b"a\n" + b"12345678\n" * 30_000, 30_000),
    "ndjson": (b'{"a":1}\n' * 30_000, 30_000),
    "parquet": (groups(90), 90),
}


@pytest.mark.parametrize("format_", MANY)
def test_a_large_source_has_larger_chunks_not_more_than_a_plan_may_have(
    tmp_path: Path, format_: Format
) -> None:
    data, rows = MANY[format_]
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "f").write_bytes(data)
    found = read_all(files(tmp_path, format_, most_chunks=20), columns("a"), 1)
    plan = found.plan
    assert found.numbers == list(range(rows))
    assert 5 < len(plan.chunks) <= 20
    counts = [c.expected_row_count or 0 for c in plan.chunks]
    assert sum(counts) == rows
    parts = [c.part for c in plan.chunks if isinstance(c.part, ByteRange | RowGroups)]
    assert all(one.end == other.start for one, other in itertools.pairwise(parts))
    assert [p.first_row_number for p in parts] == [0, *itertools.accumulate(counts)][:-1]


def test_a_plan_has_two_thousand_chunks_at_most(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "f").write_bytes(groups(2_001))
    plan = files(tmp_path, "parquet").plan(splitting(columns("a"), chunk_bytes=1))
    assert 500 < len(plan.chunks) <= 2_000
    parts = [c.part for c in plan.chunks if isinstance(c.part, RowGroups)]
    assert [row for part in parts for row in range(part.start, part.end)] == list(range(2_001))
    assert [part.first_row_number for part in parts] == [part.start for part in parts]


def test_a_plan_of_long_headers_has_fewer_chunks() -> None:
    long = "b" * 100_000
    data = f"a,{long}\n".encode() + b"1,2\n" * 50_000
    found = read_bytes("csv", data, columns("a"), chunk_bytes=4096)
    assert 10 < len(found.plan.chunks) <= 20
    assert found.numbers == list(range(50_000))


def test_chunks_of_one_file_are_never_joined_with_those_of_another() -> None:
    inputs = [dataclasses.replace(INPUT, input_id=name) for name in ("a", "b")]
    chunks = [
        chunk_of(
            input_,
            ByteRange(start=i, end=i + 1, first_row_number=2 * i),
            "spec",
            estimated_bytes=1,
            expected_row_count=2,
        )
        for input_ in inputs
        for i in range(3)
    ]
    joined = fewer(chunks, 3, "spec")
    assert [(c.input.input_id, c.part.start, c.part.end) for c in joined] == [  # type: ignore[union-attr]
        ("a", 0, 2), ("a", 2, 3), ("b", 0, 2), ("b", 2, 3),
    ]  # fmt: skip
    assert [(c.estimated_bytes, c.expected_row_count) for c in joined] == [(2, 4), (1, 2)] * 2
    assert joined[0] == chunk_of(
        inputs[0],
        ByteRange(start=0, end=2, first_row_number=0),
        "spec",
        estimated_bytes=2,
        expected_row_count=4,
    )
    assert fewer(chunks, 6, "spec") == chunks


class Leaving(threading.Event):
    """A caller who leaves after it was asked for some times whether it has."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
@pytest.mark.parametrize("asked", [0, 3, 40], ids=["at once", "while it hashes", "while it cuts"])
def test_planning_stops_soon_after_its_caller_has_left(
    tmp_path: Path, format_: Format, asked: int
) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "f").write_bytes(LARGE[format_])
    leaving = Leaving(asked)
    wanted = dataclasses.replace(splitting(columns("a"), 1024), cancelled=leaving)
    with pytest.raises(Cancelled):
        files(tmp_path, format_).plan(wanted)
    assert leaving.left == -1


def test_planning_stops_between_files_of_any_format(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    for name in ("1.parquet", "2.parquet"):
        (tmp_path / "acme" / name).write_bytes(groups(1))
    wanted = dataclasses.replace(splitting(columns("a")), cancelled=Leaving(3))
    with pytest.raises(Cancelled):
        files(tmp_path, "parquet", "*.parquet").plan(wanted)
