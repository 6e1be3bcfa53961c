"""The same work has the same id, and other work another."""

import dataclasses
import datetime as dt
from typing import Any

import pytest
from convergence.ingest.v1 import chunk_pb2

from services.ingest.chunks import (
    ByteRange,
    Chunk,
    Input,
    Part,
    ReportWindow,
    RowGroups,
    chunk_id,
    chunk_of,
)
from services.ingest.messages import chunk_message
from services.ingest.requests import chunk_of_message
from tests.unit.ingest.reading import columns, read_bytes

INPUT = Input(input_id="bills/a.csv", content_hash="00ff", size_bytes=9, change_time_nanos=5)
BYTES = ByteRange(start=2, end=9, first_row_number=0, header=("a", "b"))
DAY = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
PARTS: list[Part] = [
    BYTES,
    RowGroups(start=0, end=2, first_row_number=0),
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
