"""A worker's slots: how many chunks it takes, how it says that they go on, and how they end."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import grpc
import pytest
from convergence.ingest.v1 import source_pb2
from convergence.ingest.v1.ingest_service_pb2 import IngestChunkRequest, IngestChunkResponse

from libs.common.channel import open_channel
from libs.common.memory import Memory
from services.ingest.sink import MemorySink
from tests.integration.ingest.providers import KEY, TODAY, openai
from tests.integration.ingest.serving import Served, kinds, planned, served, token
from tests.support.refusals import refused
from tests.unit.ingest.asking import columns, plan_request, stamp

Call = grpc.aio.UnaryStreamCall[IngestChunkRequest, IngestChunkResponse]


@pytest.fixture
def hold() -> threading.Event:
    """Appends wait until this is set."""
    return threading.Event()


@pytest.fixture
async def worker(tmp_path: Path, hold: threading.Event) -> AsyncGenerator[Served]:
    async with served(tmp_path, sink=MemorySink(hold=hold)) as running:
        running.write("f.csv", "a\n1\n2\n")
        try:
            yield running
        finally:
            hold.set()


async def request_of(worker: Served) -> IngestChunkRequest:
    (request,) = await planned(worker, plan_request())
    return request


async def accepted(call: Call) -> IngestChunkResponse:
    """Return a call's first event, which says that the chunk is accepted."""
    event = await anext(aiter(call))
    assert event.WhichOneof("event") == "accepted"
    return event


async def free(worker: Served) -> None:
    """Return once no slot is busy."""
    async with asyncio.timeout(10):
        while worker.host.registry.get_sample_value("convergence_ingest_busy_slots"):
            await asyncio.sleep(0.02)


async def test_a_worker_takes_as_many_chunks_as_it_has_slots_and_refuses_the_next(
    worker: Served,
) -> None:
    request = await request_of(worker)
    calls = [worker.ingest(request) for _ in range(2)]
    said = [(await accepted(call)).accepted for call in calls]
    assert [(one.slot_count, one.busy_slot_count) for one in said] == [(2, 1), (2, 2)]
    with refused("UNAVAILABLE", "WORKER_FULL") as refusal:
        await worker.events(request)
    assert "all 2 slots are busy" in str(refusal.error)


async def test_a_worker_without_free_memory_takes_one_chunk_and_no_second(
    tmp_path: Path, hold: threading.Event
) -> None:
    kernel = tmp_path / "kernel"
    (kernel / "proc" / "self").mkdir(parents=True)
    (kernel / "proc" / "self" / "status").write_text(f"VmRSS: {1 << 40} kB\n")
    sink = MemorySink(hold=hold)
    async with served(tmp_path, sink=sink, memory=Memory(kernel)) as worker:
        worker.write("f.csv", "a\n1\n2\n")
        request = await request_of(worker)
        call = worker.ingest(request)
        await accepted(call)
        with refused("UNAVAILABLE", "WORKER_FULL") as refusal:
            await worker.events(request)
        assert "bytes of memory are free" in str(refusal.error)
        hold.set()
        assert [kind async for kind in call][-1].WhichOneof("event") == "result"


async def test_a_slot_that_is_free_again_takes_the_next_chunk(
    worker: Served, hold: threading.Event
) -> None:
    request = await request_of(worker)
    calls = [worker.ingest(request) for _ in range(2)]
    for call in calls:
        await accepted(call)
    hold.set()
    for call in calls:
        assert kinds([event async for event in call])[-1] == "result"
    assert kinds(await worker.events(request)) == ["accepted", "result"]


async def test_a_chunk_says_at_least_every_two_seconds_that_it_goes_on(
    worker: Served, hold: threading.Event
) -> None:
    call = worker.ingest(await request_of(worker))
    await accepted(call)
    begun, beats = time.monotonic(), []
    async for event in call:
        if event.WhichOneof("event") == "result":
            break
        beats.append((time.monotonic() - begun, event.progress))
        if len(beats) == 2:
            hold.set()
    assert beats[0][0] < 2
    assert beats[1][0] - beats[0][0] < 2
    assert (beats[1][1].row_count, beats[1][1].read_bytes) == (2, 4)
    assert not beats[1][1].throttled


async def test_a_chunk_that_waits_for_the_sources_quota_says_so(tmp_path: Path) -> None:
    waiting = threading.Event()
    async with served(tmp_path, pause=lambda cancelled, _: waiting.wait(10) and False) as worker:
        worker.write("secrets/openai_key.txt", KEY, 0o600)
        with openai() as provider:
            options = source_pb2.OpenAiSource(base_url=provider.base_url, reports=["costs"])
            source = source_pb2.Source(secret="openai_key", openai=options)
            window = source_pb2.Interval(
                start_time=stamp(TODAY.replace(year=TODAY.year - 1, day=1)),
                end_time=stamp(TODAY.replace(year=TODAY.year - 1, day=2)),
            )
            (request,) = await planned(
                worker,
                plan_request(source=source, window=window, columns=columns("usage_date DATE")),
            )
            provider.dial(failures=[{"status": 429, "retry_after": 9}])
            call = worker.ingest(request)
            await accepted(call)
            said = await anext(aiter(call))
            waiting.set()
            assert kinds([event async for event in call])[-1] == "result"
    assert said.progress.throttled


async def test_a_cancelled_chunk_gives_its_slot_back_and_finishes_no_stream(
    worker: Served,
) -> None:
    request = await request_of(worker)
    calls = [worker.ingest(request) for _ in range(2)]
    for call in calls:
        await accepted(call)
        call.cancel()
    await free(worker)
    await accepted(worker.ingest(request))
    assert worker.sink.finished == {}


async def test_a_caller_that_goes_away_gives_its_slots_back(worker: Served) -> None:
    request = await request_of(worker)
    async with open_channel(worker.address) as channel:
        stub = type(worker.stub)(channel)
        for _ in range(2):
            await accepted(stub.IngestChunk(request, metadata=token()))
        with refused("UNAVAILABLE", "WORKER_FULL"):
            await worker.events(request)
    await free(worker)


@pytest.mark.parametrize("beats", [0, 1], ids=["once accepted", "after a beat"])
async def test_a_slot_is_given_back_whenever_a_call_is_cancelled(
    worker: Served, beats: int
) -> None:
    request = await request_of(worker)
    for _ in range(3 - 2 * beats):
        call = worker.ingest(request)
        await accepted(call)
        for _ in range(beats):
            await anext(aiter(call))
        call.cancel()
        await free(worker)


async def test_a_call_whose_time_is_over_gives_its_slot_back(worker: Served) -> None:
    request = await request_of(worker)
    calls = [worker.stub.IngestChunk(request, metadata=token(), timeout=0.3) for _ in range(2)]
    for call in calls:
        with contextlib.suppress(grpc.aio.AioRpcError):
            [event async for event in call]
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await free(worker)


async def test_a_worker_that_drains_refuses_new_chunks_and_finishes_what_it_has(
    worker: Served, hold: threading.Event
) -> None:
    request = await request_of(worker)
    call = worker.ingest(request)
    await accepted(call)
    worker.host.draining.set()
    with refused("UNAVAILABLE", "WORKER_DRAINING"):
        await worker.events(request)
    hold.set()
    last = [event async for event in call][-1]
    assert last.result.landed_row_count == 2
