"""IngestChunk over real gRPC: what a chunk says while it goes, at its end, and when it fails."""

import datetime as dt
from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from convergence.common.v1.failure_pb2 import FailureKind
from convergence.ingest.v1 import chunk_pb2, source_pb2
from convergence.ingest.v1.ingest_service_pb2 import IngestChunkRequest, ScopeColumn
from convergence.quality.v1 import suite_pb2
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from libs.common.money import total
from tests.integration.ingest.providers import KEY, TODAY, Provider, openai
from tests.integration.ingest.serving import Served, kinds, planned, served
from tests.support.refusals import refused
from tests.unit.ingest.asking import (
    chunk,
    columns,
    ingest_request,
    plan_request,
    stamp,
)

COLUMNS = columns("day DATE", "cost BIGNUMERIC", "tokens INT64")
DATA = "day,cost,tokens\n2026-11-01,0.1,5\n2026-11-01,0.2,five\n2026-11-02,12.5 EUR,7\n2026-11-03,1e-18,9\n"
WEEK = source_pb2.Interval(
    start_time=stamp(TODAY - dt.timedelta(days=9)), end_time=stamp(TODAY - dt.timedelta(days=2))
)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncGenerator[Served]:
    async with served(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with openai() as running:
        yield running


@pytest.fixture
def provider(server: Provider) -> Provider:
    server.dial(page_days=2)
    return server


async def of_file(worker: Served, data: str = DATA, **fields: Any) -> IngestChunkRequest:
    """Return a request for the one chunk of a file of this content."""
    worker.write("f.csv", data)
    (request,) = await planned(worker, plan_request(columns=COLUMNS), **fields)
    return request


async def of_report(worker: Served, provider: Provider) -> IngestChunkRequest:
    """Return a request for the one chunk of a week's costs."""
    worker.write("secrets/openai_key.txt", KEY, 0o600)
    options = source_pb2.OpenAiSource(
        base_url=provider.base_url,
        reports=["costs"],
        costs_group_by=["project_id", "line_item"],
    )
    source = source_pb2.Source(source_id="s", secret="openai_key", openai=options)
    wanted = columns("usage_date DATE", "amount_value BIGNUMERIC", "extra JSON")
    (request,) = await planned(worker, plan_request(source=source, window=WEEK, columns=wanted))
    return request


async def test_a_chunk_is_accepted_first_and_ends_with_its_result(worker: Served) -> None:
    events = await worker.events(await of_file(worker))
    assert kinds(events) == ["accepted", "result"]
    assert (events[0].accepted.slot_count, events[0].accepted.busy_slot_count) == (2, 1)


async def test_the_result_says_what_the_chunk_holds(worker: Served) -> None:
    scope = [ScopeColumn(column="day", values=["2026-11-01", "2026-11-02"])]
    rule = suite_pb2.RowRule(
        rule_id="7",
        expectation_type="expect_column_values_to_be_in_set",
        be_in_set=suite_pb2.BeInSet(column="tokens", values=["7"]),
    )
    request = await of_file(worker, scope=scope, row_rules=[rule])
    result = (await worker.last(request)).result
    counts = (result.read_row_count, result.landed_row_count, result.quarantined_row_count)
    assert counts == (4, 1, 3)
    assert result.read_bytes == len(DATA) - len("day,cost,tokens\n")
    (money,) = result.money
    assert (money.column, money.unparsable_count, money.quarantined_row_count) == ("cost", 1, 2)
    assert (money.read, money.landed, money.quarantined) == (
        "0.300000000000000001",
        "0.1",
        "0.200000000000000001",
    )
    assert [(list(c.values), c.row_count) for c in result.scope_counts] == [(["2026-11-01"], 1)]
    assert {(c.reason, c.column): c.row_count for c in result.quarantine_counts} == {
        ("CAST", "cost"): 1,
        ("CAST", "tokens"): 1,
        ("SCOPE", "day"): 1,
    }
    (metric,) = result.row_metrics
    assert (metric.rule_id, metric.element_count, metric.unexpected_count) == ("7", 1, 1)
    assert list(metric.unexpected_samples) == ["5"]


async def test_the_streams_that_the_result_names_hold_the_rows(worker: Served) -> None:
    request = await of_file(worker)
    result = (await worker.last(request)).result
    landed, lost = worker.rows(result.stream), worker.rows(result.quarantine_stream)
    assert [(row["_row_number"], row["cost"], row["tokens"]) for row in landed] == [
        (0, Decimal("0.1"), 5),
        (3, Decimal("1e-18"), 9),
    ]
    assert [(row["_row_number"], row["cost__text"]) for row in lost] == [
        (1, "0.2"),
        (2, "12.5 EUR"),
    ]
    assert {row["_chunk_id"] for row in landed + lost} == {request.chunk.chunk_id}
    assert {row["_attempt"] for row in landed + lost} == {request.chunk_attempt}


async def test_every_row_of_a_plan_lands_once(worker: Served) -> None:
    worker.write("f.csv", "a\n" + "".join(f"{i}\n" for i in range(5_000)))
    requests = await planned(worker, plan_request(chunk_bytes=4096))
    results = [(await worker.last(request)).result for request in requests]
    rows = [row for result in results for row in worker.rows(result.stream)]
    assert [(row["_row_number"], row["a"]) for row in rows] == [(i, str(i)) for i in range(5_000)]
    assert len(requests) == 6
    expected = [request.chunk.expected_row_count for request in requests]
    assert [result.read_row_count for result in results] == expected


async def test_the_same_chunk_may_be_tried_twice(worker: Served) -> None:
    request = await of_file(worker)
    first, second = [(await worker.last(request)).result for _ in range(2)]
    assert first.stream != second.stream
    assert worker.rows(first.stream) == worker.rows(second.stream)


async def test_a_report_lands_with_its_money_exact(worker: Served, provider: Provider) -> None:
    empty = (TODAY - dt.timedelta(days=3)).date().isoformat()
    provider.dial(empty_days=[empty], page_days=2)
    request = await of_report(worker, provider)
    request.scope.add(
        column="usage_date", values=[empty, (TODAY - dt.timedelta(days=4)).date().isoformat()]
    )
    result = (await worker.last(request)).result
    assert {c.values[0]: c.row_count for c in result.scope_counts}[empty] == 0
    landed = worker.rows(result.stream)
    assert Decimal(result.money[0].landed) == total(row["amount_value"] for row in landed)
    assert {row["_source"] for row in landed} == {request.chunk.input.input_id}


@pytest.mark.parametrize("column", ["chunk", "columns", "run", "source"])
async def test_a_wrong_request_is_refused_before_anything_is_opened(
    worker: Served, column: str
) -> None:
    request = await of_file(worker)
    request.ClearField(column)
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await worker.events(request)
    assert refusal.fields == [column]
    assert worker.sink.opened == 0


async def test_a_source_whose_options_make_no_sense_is_refused_before_the_chunk_is_accepted(
    worker: Served,
) -> None:
    request = await of_file(worker)
    request.source.file.delimiter = "ab"
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await worker.events(request)
    assert refusal.fields == ["source.file"]


async def test_an_orchestrator_of_an_older_epoch_is_refused(worker: Served) -> None:
    request = await of_file(worker, epoch=5)
    await worker.events(request)
    request.epoch = 4
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await worker.events(request)
    assert refusal.fields == ["epoch"]
    request.epoch = 5
    assert (await worker.last(request)).WhichOneof("event") == "result"


def _rewritten(worker: Served) -> None:
    worker.write("f.csv", DATA + "2026-11-01,1,1\n")


def _gone(worker: Served) -> None:
    (worker.root / "acme" / "f.csv").unlink()


@pytest.mark.parametrize("change", [_rewritten, _gone], ids=["written again", "gone"])
async def test_a_file_that_changed_after_it_was_planned_fails_the_chunk(
    worker: Served, change: Any
) -> None:
    request = await of_file(worker)
    change(worker)
    failure = (await worker.last(request)).failure
    assert (failure.failure.reason, failure.transient) == ("SOURCE_CHANGED", False)
    assert failure.failure.kind == FailureKind.FAILURE_KIND_SOURCE
    assert dict(failure.failure.metadata) == {"source": "f.csv"}
    assert failure.failure.data_safe
    assert worker.sink.finished == {}


@pytest.mark.parametrize(
    "input_id", ["../other/x.csv", "/etc/passwd", "secrets/k.txt", "out/x.csv"]
)
async def test_a_chunk_that_names_a_file_elsewhere_fails(worker: Served, input_id: str) -> None:
    worker.write("secrets/k.txt", "a\nsk-admin\n", 0o600)
    (worker.root / "other").mkdir()
    (worker.root / "other" / "x.csv").write_text("a\n1\n")
    (worker.root / "acme" / "out").symlink_to(worker.root / "other")
    asked = ingest_request(chunk=chunk(input=chunk_pb2.Input(input_id=input_id)))
    failure = (await worker.last(asked)).failure
    assert (failure.failure.reason, failure.transient) == ("SOURCE_NOT_ALLOWED", False)
    assert failure.failure.kind == FailureKind.FAILURE_KIND_CONFIG


async def test_a_sink_that_fails_makes_the_chunk_worth_another_try(tmp_path: Path) -> None:
    async with served(tmp_path) as worker:
        request = await of_file(worker)
        worker.sink.fail_after = 0
        failure = (await worker.last(request)).failure
        assert (failure.failure.reason, failure.transient) == ("WAREHOUSE_UNAVAILABLE", True)
        assert failure.failure.kind == FailureKind.FAILURE_KIND_PLATFORM
        worker.sink.fail_after = None
        assert (await worker.last(request)).WhichOneof("event") == "result"


async def test_a_chunk_after_its_deadline_fails_as_timed_out(worker: Served) -> None:
    over = stamp(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))
    failure = (await worker.last(await of_file(worker, deadline=over))).failure
    assert (failure.failure.reason, failure.transient) == ("RUN_TIMED_OUT", False)
    assert worker.sink.finished == {}


@pytest.mark.parametrize(
    ("status", "reason", "kind", "transient"),
    [
        (401, "SOURCE_UNAUTHENTICATED", "SOURCE", False),
        (403, "SOURCE_FORBIDDEN", "SOURCE", False),
        (404, "SOURCE_NOT_FOUND", "SOURCE", False),
        (400, "SOURCE_REFUSED", "CONFIG", False),
        (429, "SOURCE_RATE_LIMITED", "QUOTA", True),
        (500, "SOURCE_UNAVAILABLE", "SOURCE", True),
        (200, "SOURCE_PROTOCOL_BROKEN", "SOURCE", False),
    ],
)
async def test_what_a_provider_answers_is_said_by_the_failed_chunk_without_the_key(
    worker: Served, provider: Provider, status: int, reason: str, kind: str, transient: bool
) -> None:
    request = await of_report(worker, provider)
    answer = {"status": status, "retry_after": 77, "message": f"no: {KEY}"}
    provider.dial(failures=[answer] * 4)
    with capture_logs() as logs:
        failure = (await worker.last(request)).failure
    assert (failure.failure.reason, failure.transient) == (reason, transient)
    assert failure.failure.kind == FailureKind.Value(f"FAILURE_KIND_{kind}")
    assert failure.failure.metadata["source"] == "costs"
    assert failure.failure.advice
    if status == 429:
        assert failure.retry_delay == Duration(seconds=77)
    assert KEY not in f"{failure}{logs}"
    assert [entry["reason"] for entry in logs if entry["event"] == "chunk.failed"] == [reason]


async def test_a_secret_taken_away_after_the_plan_fails_the_chunk(
    worker: Served, provider: Provider
) -> None:
    request = await of_report(worker, provider)
    request.source.secret = "another"
    failure = (await worker.last(request)).failure.failure
    assert (failure.reason, dict(failure.metadata)) == ("SECRET_NOT_FOUND", {"secret": "another"})


async def test_a_finished_chunk_is_logged_and_counted(worker: Served) -> None:
    with capture_logs() as logs:
        await worker.events(await of_file(worker))
    (done,) = [entry for entry in logs if entry["event"] == "chunk.completed"]
    assert (done["rows"], done["quarantined"]) == (4, 2)
    registry = worker.host.registry
    name = "convergence_ingest_rows_total"
    assert registry.get_sample_value(name, {"outcome": "landed"}) == 2
    assert registry.get_sample_value(name, {"outcome": "quarantined"}) == 2
    assert registry.get_sample_value("convergence_ingest_busy_slots") == 0
