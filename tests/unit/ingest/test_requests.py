"""Requests: each wrong field is named, all of them at once."""

import threading
from typing import Any

import pytest
from convergence.ingest.v1 import chunk_pb2, source_pb2
from convergence.ingest.v1.ingest_service_pb2 import ScopeColumn
from convergence.quality.v1 import suite_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from libs.common.errors import InvalidRequest
from services.ingest.chunks import ByteRange
from services.ingest.requests import CHUNK_BYTES, splitting_of, task_of
from tests.unit.ingest.asking import RUN, chunk, columns, file_source, ingest_request, plan_request

DAY = source_pb2.Interval(
    start_time=Timestamp(seconds=86_400), end_time=Timestamp(seconds=2 * 86_400)
)
OPENAI = source_pb2.Source(openai=source_pb2.OpenAiSource(reports=["costs"]))


def refused_task(**fields: Any) -> dict[str, str]:
    """Return what a request to ingest is refused with, by field."""
    with pytest.raises(InvalidRequest) as refusal:
        task_of(ingest_request(**fields))
    assert refusal.value.reason == "INVALID_REQUEST"
    return refusal.value.violations


def rule(**fields: Any) -> suite_pb2.RowRule:
    return suite_pb2.RowRule(rule_id="7", expectation_type="expect_it", **fields)


def report_chunk(report: str) -> chunk_pb2.Chunk:
    window = chunk_pb2.ReportWindow(report=report, window=DAY)
    return chunk_pb2.Chunk(chunk_id="c", input=chunk_pb2.Input(input_id="i"), report_window=window)


def test_a_request_is_read_as_a_task() -> None:
    task = task_of(ingest_request(scope=[ScopeColumn(column="a", values=["x"])], key_columns=["a"]))
    assert (task.tenant, task.pipeline, task.run) == ("acme", "p_usage", "r1")
    assert task.chunk.part == ByteRange(start=2, end=9, first_row_number=0, header=("a",))
    assert (task.scope, task.key_columns) == ((("a", ("x",)),), ("a",))
    assert (task.snapshot, task.staging, task.chunk_attempt) == (7, True, 1_000_001)


def texts(**epochs: source_pb2.EpochUnit) -> source_pb2.Source:
    said = source_pb2.Texts(truncate_fractions=True)
    for name, unit in epochs.items():
        said.epochs[name] = unit
    source = file_source()
    source.texts.CopyFrom(said)
    return source


def test_columns_know_how_their_texts_are_read() -> None:
    schema = columns("a STRING", "s TIMESTAMP", "m DATETIME", "u DATE")
    source = texts(
        s=source_pb2.EPOCH_UNIT_SECONDS,
        m=source_pb2.EPOCH_UNIT_MILLIS,
        u=source_pb2.EPOCH_UNIT_MICROS,
    )
    read = task_of(ingest_request(columns=schema, source=source)).columns
    assert [column.epoch_micros for column in read] == [0, 1_000_000, 1_000, 1]
    assert all(column.truncates for column in read)
    plain = task_of(ingest_request(columns=schema)).columns
    assert not any(column.epoch_micros or column.truncates for column in plain)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("source", texts(a=source_pb2.EPOCH_UNIT_SECONDS), "found epochs of a"),
        ("source", texts(z=source_pb2.EPOCH_UNIT_SECONDS), "found epochs of z"),
        ("run", "tenants/acme", "tenants/acme"),
        ("run_attempt", 0, "allowed is 1 or more"),
        ("chunk_attempt", 0, "allowed is 1 or more"),
        ("source", source_pb2.Source(), "allowed are file and openai"),
        ("source", OPENAI, "found a chunk of byte_range; allowed is report_window"),
        (
            "source",
            file_source(format=source_pb2.FILE_FORMAT_PARQUET),
            "found a chunk of byte_range; allowed is row_groups",
        ),
        ("chunk", chunk_pb2.Chunk(), "no chunk_id or input"),
        ("chunk", chunk(input=chunk_pb2.Input()), "no chunk_id or input"),
        ("columns", [], "found none"),
        ("columns", columns("a RECORD"), "'RECORD' is none of"),
        ("columns", columns("a INT64 REPEATED"), "REPEATED for STRING"),
        ("columns", columns("a NUMERIC(40,2)"), "more than 29 digits"),
        ("columns", columns("a STRING", "A INT64"), "found a twice"),
        ("columns", columns("a STRING", "_row_number INT64"), "found _row_number twice"),
        ("scope", [ScopeColumn(column="z", values=["x"])], "found z; allowed are the table's columns"),
        (
            "scope",
            [ScopeColumn(column="a"), ScopeColumn(column="_source", values=["x", "y"])],
            "found _source with several values or none; allowed is one value for each",
        ),
        ("scope", [ScopeColumn(column="a"), ScopeColumn(column="a", values=["x"])], "each column once"),
        ("key_columns", ["a", "z"], "found z"),
        ("row_rules", [rule()], "rule 7 has no predicate that this worker knows"),
        ("row_rules", [rule(not_be_null=suite_pb2.NotBeNull(column="z"))], "rule 7: no column z"),
        ("table", "acme_staging.usage", "allowed is project.acme_dataset.table"),
        ("table", "local.other_staging.usage", "allowed is project.acme_dataset.table"),
        ("table", "local.acmex_staging.usage", "allowed is project.acme_dataset.table"),
        ("quarantine_table", "local.other_raw.usage", "allowed is project.acme_dataset.table"),
        ("deadline", Timestamp(seconds=10**15), "allowed are years 1 to 9999"),
        ("ingest_time", Timestamp(seconds=10**15), "allowed are years 1 to 9999"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_chunk_is_named(field: str, value: object, why: str) -> None:
    violations = refused_task(**{field: value})
    assert list(violations) == [field]
    assert why in violations[field]


def test_all_wrong_fields_of_a_chunk_are_named_at_once() -> None:
    wrong = refused_task(run="x", columns=[], run_attempt=0, chunk=chunk_pb2.Chunk())
    assert sorted(wrong) == ["chunk", "columns", "run", "run_attempt"]


def test_a_chunk_of_a_report_that_the_source_has_not_is_refused() -> None:
    asked = task_of(ingest_request(source=OPENAI, chunk=report_chunk("costs")))
    assert asked.chunk.input.input_id == "i"
    assert (
        "allowed are the reports"
        in refused_task(source=OPENAI, chunk=report_chunk("../../secrets"))["source"]
    )


def splitting_refused(**fields: Any) -> dict[str, str]:
    """Return what a request to plan is refused with, by field."""
    with pytest.raises(InvalidRequest) as refusal:
        splitting_of(plan_request(**fields), threading.Event())
    return refusal.value.violations


@pytest.mark.parametrize("parent", ["tenants/acme/pipelines/p_usage", RUN], ids=["pipeline", "run"])
def test_a_plan_may_be_asked_for_a_pipeline_or_a_run(parent: str) -> None:
    tenant, splitting = splitting_of(plan_request(parent=parent), threading.Event())
    assert (tenant, splitting.window, splitting.chunk_bytes) == ("acme", None, CHUNK_BYTES)
    assert CHUNK_BYTES == 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parent", "tenants/acme"),
        ("parent", ""),
        ("source", source_pb2.Source(secret="key")),
        ("columns", []),
        ("columns", columns("a DECIMALS")),
        ("window", source_pb2.Interval(start_time=DAY.end_time, end_time=DAY.start_time)),
        ("window", source_pb2.Interval(start_time=DAY.start_time, end_time=DAY.start_time)),
        ("spec_hash", ""),
        ("chunk_bytes", -1),
    ],
    ids=[
        "tenant",
        "no parent",
        "no kind",
        "no columns",
        "a type",
        "backwards",
        "empty",
        "no hash",
        "bytes",
    ],
)
def test_a_wrong_field_of_a_plan_is_named(field: str, value: object) -> None:
    assert list(splitting_refused(**{field: value})) == [field]


def test_all_wrong_fields_of_a_plan_are_named_at_once() -> None:
    assert sorted(splitting_refused(parent="", columns=[], spec_hash="")) == [
        "columns",
        "parent",
        "spec_hash",
    ]
