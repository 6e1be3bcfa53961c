"""What every worker keeps, in memory and over gRPC: plans, chunks, failures, and stopping."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from convergence.ingest.v1 import source_pb2
from convergence.quality.v1 import suite_pb2

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.runs import records as r
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import OpenAiOptions
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import (
    Assignment,
    Beat,
    ChunkFailed,
    SourceTooLarge,
    WorkerGone,
)
from tests.contracts.worker_bench import (
    RUN,
    Bench,
    InMemory,
    OverGrpc,
    assignment,
    over_grpc,
)
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, spec

LONG = "12345678901234567890.123456789012345678"
FAILURE = r.Failure(
    kind="source", reason="SOURCE_UNAVAILABLE", message="503", advice="wait",
    metadata={"source": "bill"},
)  # fmt: skip


@pytest.fixture(params=["memory", "grpc"])
async def bench(request: pytest.FixtureRequest) -> AsyncGenerator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    async with over_grpc() as running:
        yield running


async def events(bench: Bench, of: Assignment | None = None) -> list[Beat | r.Landed]:
    async with asyncio.timeout(10):
        return [event async for event in bench.worker.ingest(of or assignment())]


def rows(*money: str, bad: tuple[str, ...] = ()) -> list[Item]:
    good = [Item(scope="a.csv", money=(text,)) for text in money]
    return [*good, *(Item(scope="a.csv", money=(text,), bad=True) for text in bad)]


async def test_a_plan_has_a_chunk_with_an_id_and_a_content_for_each_input(bench: Bench) -> None:
    bench.source(a_csv=rows("1"), b_csv=rows("2"))
    first, again = [await bench.worker.plan(PIPELINE, spec(), None) for _ in range(2)]
    assert [chunk.input_id for chunk in first.chunks] == ["a.csv", "b.csv"]
    assert first.chunks == again.chunks
    assert len({chunk.chunk_id for chunk in first.chunks}) == 2
    bench.source(a_csv=rows("3"))
    (changed,) = (await bench.worker.plan(PIPELINE, spec(), None)).chunks
    assert changed.content_hash != first.chunks[0].content_hash


async def test_a_plan_names_deliveries_those_without_an_input_too(bench: Bench) -> None:
    bench.source(a_csv=rows("1"), b_csv=rows("2"))
    bench.deliver(november=("a.csv",), october=())
    plan = await bench.worker.plan(PIPELINE, spec(), None)
    assert plan.deliveries == ("november", "october")
    assert [chunk.delivery for chunk in plan.chunks] == ["november", ""]


async def test_a_plan_that_is_refused_says_why(bench: Bench) -> None:
    bench.refuse(FailedPrecondition("no file", reason="SOURCE_NOT_FOUND", source="bill"))
    with pytest.raises(FailedPrecondition) as refused:
        await bench.worker.plan(PIPELINE, spec(), None)
    assert (refused.value.reason, refused.value.metadata) == (
        "SOURCE_NOT_FOUND", {"source": "bill"},
    )  # fmt: skip


async def test_a_chunk_begins_with_a_beat_that_says_how_many_slots_there_are(bench: Bench) -> None:
    bench.source(a_csv=rows("1"))
    first, *_, last = await events(bench)
    assert isinstance(first, Beat)
    assert first.slot_count == 2
    assert isinstance(last, r.Landed)


async def test_what_landed_and_what_did_not_is_counted_and_summed_exactly(bench: Bench) -> None:
    bench.source(a_csv=rows("0.000000000000000001", LONG, bad=("-7",)))
    landed = (await events(bench))[-1]
    assert isinstance(landed, r.Landed)
    assert (landed.chunk_id, landed.chunk_attempt) == ("a.csv@1", 3_000_007)
    assert (landed.read_row_count, landed.landed_row_count, landed.quarantined_row_count) == (
        3, 2, 1,
    )  # fmt: skip
    (money,) = landed.money
    assert money.landed == Decimal("12345678901234567890.123456789012345679")
    assert (money.quarantined, money.quarantined_row_count) == (Decimal(-7), 1)
    assert money.read == Decimal("12345678901234567883.123456789012345679")
    assert landed.stream
    assert landed.quarantine_stream


async def test_a_chunk_without_rows_names_no_stream(bench: Bench) -> None:
    bench.source(a_csv=[])
    landed = (await events(bench))[-1]
    assert isinstance(landed, r.Landed)
    assert (landed.stream, landed.quarantine_stream, landed.read_row_count) == ("", "", 0)


@pytest.mark.parametrize("transient", [True, False])
async def test_a_failure_of_a_chunk_comes_whole(bench: Bench, transient: bool) -> None:
    bench.source(a_csv=rows("1"))
    bench.fail(FAILURE, transient=transient, retry_after=2.5)
    with pytest.raises(ChunkFailed) as failed:
        await events(bench)
    assert failed.value.failure == FAILURE
    assert (failed.value.transient, failed.value.retry_after) == (transient, 2.5)


@pytest.mark.parametrize("failing", [False, True])
async def test_a_call_that_brought_its_last_event_is_no_cancelled_one_at_the_worker(
    failing: bool,
) -> None:
    """Who has a result wants no more of the call."""
    async with over_grpc() as bench:
        bench.source(a_csv=rows("1"))
        bench.pause = 0.02
        if failing:
            bench.fail(FAILURE, transient=True)
        stream = bench.worker.ingest(assignment())
        with contextlib.suppress(ChunkFailed):
            while not isinstance(await anext(stream), r.Landed):
                pass
        await stream.aclose()
        async with asyncio.timeout(10):
            while not (ends := [code for code in ("OK", "CANCELLED") if bench.ended(code)]):
                await asyncio.sleep(0.001)
        assert ends == ["OK"]


async def test_a_worker_that_vanishes_has_used_up_a_try(bench: Bench) -> None:
    bench.source(a_csv=rows("1"))
    bench.die()
    with pytest.raises(WorkerGone) as gone:
        await events(bench)
    assert not gone.value.refused


async def test_a_worker_that_has_no_slot_has_used_up_nothing(bench: Bench) -> None:
    bench.source(a_csv=rows("1"))
    bench.full()
    with pytest.raises(WorkerGone) as gone:
        await events(bench)
    assert gone.value.refused


async def test_leaving_a_chunk_stops_the_work(bench: Bench) -> None:
    bench.source(a_csv=rows("1"))
    bench.hang()
    stream = bench.worker.ingest(assignment())
    assert isinstance(await anext(stream), Beat)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.wait({waiting}, timeout=0.2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        while bench.stopped() != 1:
            await asyncio.sleep(0.01)


async def test_everything_that_a_worker_needs_travels_with_the_chunk(bench: Bench) -> None:
    if not isinstance(bench, OverGrpc):
        return
    bench.source(a_csv=rows("1"))
    suite = '{"rowRules": [{"ruleId": "r1"}]}'
    await events(bench, assignment(suite=suite))
    (request,) = bench.requests
    assert request.run == str(RUN)
    assert (request.run_attempt, request.chunk_attempt, request.epoch) == (2, 3_000_007, 3)
    assert (request.table, request.quarantine_table, request.staging) == (
        "p.d.t__r1", "p.d.t__quarantine", True,
    )  # fmt: skip
    assert request.snapshot == 17
    assert request.ingest_time.ToDatetime(tzinfo=UTC) == NOON
    assert request.deadline.ToDatetime(tzinfo=UTC) == NOON + timedelta(hours=2)
    assert [(c.name, c.type, c.mode) for c in request.columns] == [
        ("service", "STRING", "NULLABLE"), ("cost", "BIGNUMERIC", "NULLABLE"),
    ]  # fmt: skip
    assert [(s.column, list(s.values)) for s in request.scope] == [("_source", ["a.csv", "b.csv"])]
    assert list(request.row_rules) == [suite_pb2.RowRule(rule_id="r1")]
    assert request.source.file == source_pb2.FileSource(
        path="bills/*.csv",
        format=source_pb2.FILE_FORMAT_CSV,
        compression=source_pb2.COMPRESSION_GZIP,
        encoding=source_pb2.TEXT_ENCODING_UTF_16,
    )
    assert request.source.texts == source_pb2.Texts(
        epochs={"seen_at": source_pb2.EPOCH_UNIT_MILLIS}, truncate_fractions=True
    )
    assert request.source.contract == source_pb2.Contract(
        columns=source_pb2.CONTRACT_MODE_DISCARD_ROW, types=source_pb2.CONTRACT_MODE_FREEZE
    )
    assert bench.callers == [f"Bearer {RUN}"]


async def test_a_plan_carries_window_chunk_size_and_spec(bench: Bench) -> None:
    if not isinstance(bench, OverGrpc):
        return
    bench.source(a_csv=rows("1"))
    window = Window(start=datetime(2026, 11, 1, tzinfo=UTC), end=NOON)
    planned = await bench.worker.plan(RUN, spec(), window)
    assert planned.extra_columns == ("other",)
    assert planned.evolved_columns == (("other", "STRING"),)
    (request,) = bench.plans
    assert request.parent == str(RUN)
    assert request.window.end_time.ToDatetime(tzinfo=UTC) == NOON
    assert (request.chunk_bytes, request.spec_hash) == (64 * 1024 * 1024, spec().spec_hash)


async def test_what_a_worker_may_ask_of_a_provider_travels_with_the_chunk(bench: Bench) -> None:
    if not isinstance(bench, OverGrpc):
        return
    bench.source(a_csv=rows("1"))
    options = OpenAiOptions(reports=("costs",), requests_per_minute=500)
    source = spec().source.model_copy(update={"options": options})
    reports = spec().model_copy(update={"source": source})
    await events(bench, assignment(spec=reports, requests_per_minute=62.5))
    (request,) = bench.requests
    assert request.source.openai == source_pb2.OpenAiSource(
        reports=["costs"], requests_per_minute=62.5
    )


async def test_a_plan_that_takes_too_long_says_so_and_stops_the_worker(bench: Bench) -> None:
    if not isinstance(bench, OverGrpc):
        return
    bench.stall = True
    worker = bench.impatient(0.3)
    with pytest.raises(SourceTooLarge) as refused:
        await worker.plan(PIPELINE, spec(), None)
    assert str(refused.value) == (
        "planning bill took longer than 0.3 s: narrow the source, or deliver it in smaller parts; "
        "where it is small, look at worker w1"
    )
    assert refused.value.metadata == {"source": "bill"}
    async with asyncio.timeout(5):
        while bench.stopped() != 1:
            await asyncio.sleep(0.01)


async def left(bench: OverGrpc, work: "asyncio.Task[object]") -> None:
    """Take the worker for gone once it has been called."""
    async with asyncio.timeout(5):
        while not (bench.requests or bench.plans):
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert not work.done()
    bench.worker.leave()


async def test_a_chunk_at_a_worker_that_is_gone_is_lost_at_once(bench: Bench) -> None:
    if not isinstance(bench, OverGrpc):
        return
    bench.source(a_csv=rows("1"))
    bench.hang()
    work: asyncio.Task[object] = asyncio.create_task(events(bench))
    await left(bench, work)
    async with asyncio.timeout(2):
        with pytest.raises(WorkerGone, match="worker w1 is gone") as gone:
            await work
    assert not gone.value.refused


async def test_a_plan_at_a_worker_that_is_gone_is_asked_of_another(bench: Bench) -> None:
    if not isinstance(bench, OverGrpc):
        return
    bench.stall = True
    work: asyncio.Task[object] = asyncio.create_task(bench.worker.plan(PIPELINE, spec(), None))
    await left(bench, work)
    async with asyncio.timeout(2):
        with pytest.raises(Unavailable, match="worker w1 is gone") as away:
            await work
    assert away.value.reason == "NO_WORKER"


@pytest.mark.parametrize("gone", [False, True])
async def test_who_cancels_a_chunk_hears_that_whether_or_not_the_worker_is_gone(
    bench: Bench, gone: bool
) -> None:
    if not isinstance(bench, OverGrpc):
        return
    bench.source(a_csv=rows("1"))
    bench.hang()
    work: asyncio.Task[object] = asyncio.create_task(events(bench))
    async with asyncio.timeout(5):
        while not bench.requests:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    work.cancel()
    if gone:
        bench.worker.leave()
    with pytest.raises(asyncio.CancelledError):
        await work
