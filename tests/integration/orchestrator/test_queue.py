"""GetQueue over a socket: a tenant sees its own line, the platform all lines and the workers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from convergence.orchestrator.v1 import run_service_pb2 as pb
from convergence.orchestrator.v1.queue_pb2 import LaneQueue, TenantQueue, WorkerSlots
from convergence.orchestrator.v1.run_pb2 import RunLane

from services.orchestrator.specs import OpenAiOptions
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.memory_workers import Item
from tests.integration.orchestrator.serving import (
    NEIGHBOUR,
    READER,
    ROOT,
    WRITER,
    Edge,
    catalogue_of,
    edge_over,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import NOON, World, spec

ACME, WIDGETS = "tenants/acme_corp", "tenants/widgetsinc"
CHUNKS = 6
IDLE = [
    LaneQueue(lane=lane)
    for lane in (
        RunLane.RUN_LANE_INTERACTIVE,
        RunLane.RUN_LANE_SCHEDULED,
        RunLane.RUN_LANE_BACKFILL,
    )
]


@pytest.fixture
def world() -> World:
    made = World()
    for number in range(CHUNKS):
        name = f"{number}.csv"
        made.source.inputs[name] = [Item(scope=name, money=(f"{number}.5",))]
    return made


@pytest.fixture
def dispatcher(world: World) -> Dispatcher:
    return Dispatcher(world.workers, monotonic=time.monotonic, sleep=asyncio.sleep)


@pytest.fixture
async def edge(world: World, dispatcher: Dispatcher, tmp_path: Path) -> AsyncGenerator[Edge]:
    async with edge_over(world, tmp_path, dispatcher=dispatcher) as running:
        yield running


async def ask(edge: Edge, parent: str, secret: str) -> pb.GetQueueResponse:
    request = pb.GetQueueRequest(parent=parent)
    answer: pb.GetQueueResponse = await edge.ask("GetQueue", request, secret=secret)
    return answer


async def until(
    edge: Edge, parent: str, secret: str, claim: Callable[[TenantQueue], bool]
) -> pb.GetQueueResponse:
    async with asyncio.timeout(10):
        while True:
            answer = await ask(edge, parent, secret)
            if answer.tenants and claim(answer.tenants[0]):
                return answer
            await asyncio.sleep(0.005)


async def both_wait(edge: Edge) -> str:
    """Start a run of each tenant while workers stop; the first, which is returned, has all slots."""
    first = await edge.create()
    assert first.lane == RunLane.RUN_LANE_INTERACTIVE
    await until(edge, ACME, WRITER, lambda q: (q.slot_count, q.waiting_chunk_count) == (4, 2))
    await edge.create(parent=f"{WIDGETS}/pipelines/p_bill", secret=NEIGHBOUR)
    await until(edge, WIDGETS, NEIGHBOUR, lambda q: q.waiting_chunk_count == CHUNKS)
    return first.name


async def test_a_tenant_sees_its_own_line_and_nothing_of_the_others(
    edge: Edge, world: World
) -> None:
    gate = world.hang()
    await both_wait(edge)
    for secret in (WRITER, READER):
        answer = await ask(edge, ACME, secret)
        (mine,) = answer.tenants
        began = mine.wait_start_time.ToDatetime(tzinfo=UTC)
        assert NOON - timedelta(minutes=1) < began < NOON + timedelta(minutes=1)
        mine.ClearField("wait_start_time")
        (asked, *idle) = mine.lanes
        assert asked == LaneQueue(
            lane=RunLane.RUN_LANE_INTERACTIVE, slot_count=4, waiting_chunk_count=2
        )
        assert idle == IDLE[1:]
        mine.ClearField("lanes")
        assert mine == TenantQueue(
            tenant=ACME,
            slot_weight=1,
            slot_count=4,
            waiting_chunk_count=2,
            begun_run_count=1,
            live_run_count=20,
        )
        assert not answer.workers
    gate.set()


async def test_the_platform_sees_all_lines_and_the_workers(
    edge: Edge, world: World, dispatcher: Dispatcher
) -> None:
    gate = world.hang()
    first = await both_wait(edge)
    answer = await ask(edge, "tenants/-", ROOT)
    assert [(q.tenant, q.slot_weight, q.chunk_count, q.slot_count) for q in answer.tenants] == [
        (ACME, 1.0, 0, 4),
        (WIDGETS, 2.0, 3, 0),
    ]
    assert list(answer.workers) == [
        WorkerSlots(address=address, slot_count=2, busy_slot_count=2) for address in ("w1", "w2")
    ]
    (widgets,) = (await ask(edge, WIDGETS, ROOT)).tenants
    assert (widgets.tenant, widgets.waiting_chunk_count) == (WIDGETS, CHUNKS)
    value = edge.host.registry.get_sample_value
    waiting = {
        lane: value("convergence_orchestrator_chunks_waiting", {"lane": lane})
        for lane in ("interactive", "scheduled", "backfill")
    }
    assert waiting == {"interactive": 2 + CHUNKS, "scheduled": 0, "backfill": 0}
    assert value("convergence_orchestrator_tenants_waiting") == 2
    assert (value("convergence_orchestrator_longest_wait_seconds") or 0) > 0
    assert slots_of(edge) == {"busy": 4, "free": 0, "resting": 0, "draining": 0}
    assert value("convergence_orchestrator_slots_wanted") == 4 + 2 + CHUNKS
    gate.set()
    await edge.until(first, "SUCCEEDED")
    dispatcher.drain(world.workers[0], draining=True)
    answer = await ask(edge, "tenants/-", ROOT)
    assert [worker.draining for worker in answer.workers] == [True, False]
    workers = {
        state: value("convergence_orchestrator_workers", {"state": state})
        for state in ("ready", "draining")
    }
    assert workers == {"ready": 1, "draining": 1}
    async with asyncio.timeout(10):
        while slots_of(edge) != {"busy": 0, "free": 2, "resting": 0, "draining": 2}:
            await asyncio.sleep(0.005)


def slots_of(edge: Edge) -> dict[str, float | None]:
    """Return what the metrics say of slots, by state."""
    value, name = edge.host.registry.get_sample_value, "convergence_orchestrator_slots"
    states = ("busy", "free", "resting", "draining")
    return {state: value(name, {"state": state}) for state in states}


async def test_a_run_that_the_platform_starts_leaves_a_tenants_share_as_it_was(edge: Edge) -> None:
    parent = f"{WIDGETS}/pipelines/p_bill"
    for secret, weight, cap in ((ROOT, 1.0, 0), (NEIGHBOUR, 2.0, 3), (ROOT, 2.0, 3)):
        run = await edge.create(parent=parent, secret=secret)
        (line,) = (await ask(edge, WIDGETS, ROOT)).tenants
        assert (line.slot_weight, line.chunk_count) == (weight, cap)
        async with asyncio.timeout(10):
            while not await over(edge, run.name):
                await asyncio.sleep(0.005)


async def over(edge: Edge, name: str) -> bool:
    answer = await edge.ask("GetRun", pb.GetRunRequest(name=name), secret=ROOT)
    return bool(answer.run.HasField("end_time"))


async def test_a_tenant_that_has_nothing_has_an_empty_line(edge: Edge) -> None:
    assert list((await ask(edge, ACME, WRITER)).tenants) == [
        TenantQueue(tenant=ACME, slot_weight=1, lanes=IDLE, live_run_count=20)
    ]
    assert list((await ask(edge, "tenants/-", ROOT)).tenants) == []


@pytest.mark.parametrize("parent", [ACME, "tenants/nobody_at", "tenants/-"])
async def test_the_line_of_another_tenant_or_of_all_is_not_there_for_a_tenant(
    edge: Edge, parent: str
) -> None:
    with refused("NOT_FOUND", "TENANT_NOT_FOUND") as refusal:
        await ask(edge, parent, NEIGHBOUR)
    assert refusal.metadata == {"name": parent}


@pytest.mark.parametrize("parent", ["", "acme_corp", "tenants/Acme", f"{ACME}/pipelines/p_bill"])
async def test_what_is_no_tenant_is_refused_by_field(edge: Edge, parent: str) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await ask(edge, parent, ROOT)
    assert refusal.fields == ["parent"]


async def test_streams_are_told_to_the_platform_and_an_account_to_its_tenant_too(
    world: World, tmp_path: Path
) -> None:
    options = OpenAiOptions(reports=("costs",), requests_per_minute=60_000)
    source = spec().source.model_copy(update={"options": options, "secret": "key"})
    files = catalogue_of(spec().model_copy(update={"source": source}))
    dispatcher = Dispatcher(
        world.workers, monotonic=time.monotonic, sleep=asyncio.sleep, streams_per_hour=20
    )
    gate = world.hang()
    async with edge_over(world, tmp_path, catalogue=files, dispatcher=dispatcher) as edge:
        await edge.create()
        line = await until(edge, ACME, WRITER, lambda q: q.slot_count == 4)
        (account,) = line.accounts
        assert (account.tenant, account.secret, account.using_count) == (ACME, "key", CHUNKS)
        assert account.given_requests_per_minute <= account.requests_per_minute == 60_000
        assert not line.HasField("streams")
        everything = await ask(edge, "tenants/-", ROOT)
        assert list(everything.accounts) == [account]
        assert (everything.streams.per_hour_count, everything.streams.ready_count) == (20, 0)
        ready = everything.streams.ready_time.ToDatetime(tzinfo=UTC)
        assert NOON < ready < NOON + timedelta(hours=1)
        value = edge.host.registry.get_sample_value
        assert value("convergence_orchestrator_streams_ready") == 0
        assert (value("convergence_orchestrator_stream_wait_seconds") or 0) > 0
        assert value("convergence_orchestrator_requests_waiting") == 0
        assert value("convergence_orchestrator_accounts_resting") == 0
        other = await ask(edge, WIDGETS, NEIGHBOUR)
        assert not other.accounts
        gate.set()
