"""WatchRun and WatchRuns over a socket: nothing lost, nothing said twice, ended by the server."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from convergence.orchestrator.v1 import run_service_pb2 as pb
from convergence.orchestrator.v1.run_service_pb2_grpc import RunServiceStub

from libs.common.channel import open_channel
from services.orchestrator.api import watches
from services.orchestrator.workers.memory_workers import Item
from tests.integration.auth.serving import key
from tests.integration.orchestrator.serving import (
    NEIGHBOUR,
    PIPELINE,
    WRITER,
    Edge,
    active,
    authenticating,
    catalogue_of,
    edge_over,
    orchestrating,
    state_of,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import World, spec

ONE = [Item(scope="a.csv", money=("1.5",))]
TENANT = "tenants/acme_corp"


@pytest.fixture
def world() -> World:
    return World.of(a_csv=ONE)


@pytest.fixture
async def edge(world: World, tmp_path: Path) -> AsyncGenerator[Edge]:
    files = catalogue_of(
        spec(),
        spec().model_copy(update={"pipeline": "p_other"}),
        spec().model_copy(update={"tenant": "widgetsinc"}),
    )
    async with edge_over(world, tmp_path, catalogue=files) as running:
        yield running


def watch_all(
    edge: Edge, parent: str, *, cursor: str = "", seconds: float | None = 20, secret: str = WRITER
) -> AsyncIterator[pb.WatchRunsResponse]:
    request = pb.WatchRunsRequest(parent=parent, cursor=cursor)
    return aiter(edge.runs.WatchRuns(request, metadata=key(secret), timeout=seconds))


async def take(stream: AsyncIterator[Any], count: int) -> list[Any]:
    async with asyncio.timeout(10):
        return [await anext(stream) for _ in range(count)]


async def test_a_watch_shows_the_present_then_changes_and_ends_when_the_run_rests(
    edge: Edge, world: World
) -> None:
    gate = world.hang()
    run = await edge.create()
    await edge.until(run.name, "INGESTING")
    stream = edge.watch(run.name, timeout=20)
    (first,) = await take(stream, 1)
    assert state_of(first.run) == "INGESTING"
    gate.set()
    rest = [message async for message in stream]
    assert state_of(rest[-1].run) == "SUCCEEDED"
    assert rest[-1].run.HasField("receipt")
    positions = [message.run.position for message in (first, *rest)]
    assert positions == sorted(positions)


async def test_a_run_that_rests_is_shown_once(edge: Edge) -> None:
    run = await edge.finish()
    for cursor in ("", str(run.position)):
        (only,) = [message async for message in edge.watch(run.name, cursor=cursor, timeout=20)]
        assert (state_of(only.run), only.cursor) == ("SUCCEEDED", str(run.position))


async def test_a_watch_taken_up_at_its_cursor_loses_nothing_and_says_nothing_twice(
    edge: Edge, world: World
) -> None:
    gate = world.hang()
    run = await edge.create()
    await edge.until(run.name, "INGESTING")
    stream = edge.watch(run.name, timeout=20)
    (seen,) = await take(stream, 1)
    resumed = edge.watch(run.name, cursor=seen.cursor, timeout=20)
    following = asyncio.create_task(take(resumed, 1))
    done, _ = await asyncio.wait({following}, timeout=0.3)
    assert not done
    gate.set()
    messages = [seen, *(await following), *[message async for message in resumed]]
    positions = [message.run.position for message in messages]
    assert positions == sorted(set(positions))
    assert state_of(messages[-1].run) == "SUCCEEDED"


async def test_a_cursor_is_good_for_the_next_orchestrator_too(world: World, tmp_path: Path) -> None:
    gate = world.hang()
    async with authenticating(tmp_path) as auth:
        async with orchestrating(world, auth, tmp_path) as edge:
            await active(edge)
            run = await edge.create()
            await edge.until(run.name, "INGESTING")
            (seen,) = await take(edge.watch(run.name, timeout=20), 1)
        gate.set()
        async with orchestrating(world, auth, tmp_path) as edge:
            await active(edge)
            rest = [m async for m in edge.watch(run.name, cursor=seen.cursor, timeout=20)]
    assert state_of(rest[-1].run) == "SUCCEEDED"
    assert all(message.run.position > seen.run.position for message in rest)


async def test_the_server_ends_a_watch_within_its_callers_deadline(
    edge: Edge, world: World
) -> None:
    world.hang()
    run = await edge.create()
    await edge.until(run.name, "INGESTING")
    (message,) = [message async for message in edge.watch(run.name, timeout=1.0)]
    assert state_of(message.run) == "INGESTING"
    assert [m async for m in watch_all(edge, TENANT, seconds=0.8)] == []


async def test_progress_is_shown_without_a_new_position(edge: Edge, world: World) -> None:
    world.hang()
    run = await edge.create()
    stream = edge.watch(run.name, timeout=20)
    async with asyncio.timeout(10):
        async for message in stream:
            if message.run.progress.running_chunk_count:
                break
    assert message.run.progress.chunk_count == 1


async def test_chunks_that_are_done_soon_after_one_another_are_said_at_once(
    edge: Edge, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "PROGRESS_SECONDS", 60)
    for number in range(99):
        name = f"{number}.csv"
        world.source.inputs[name] = [Item(scope=name, money=(f"{number}",))]
    gate = world.hang()
    run = await edge.create()
    await edge.until(run.name, "INGESTING")
    stream = edge.watch(run.name, timeout=20)
    (first,) = await take(stream, 1)
    gate.set()
    rest = [state_of(message.run) async for message in stream]
    assert state_of(first.run) == "INGESTING"
    assert "INGESTING" not in rest
    assert rest[-1] == "SUCCEEDED"


@pytest.mark.parametrize(
    "cursor",
    ["x", "-1", "1.5", "²", "9" * 5000, "999999999"],
    ids=["word", "negative", "fraction", "superscript", "endless", "future"],
)
@pytest.mark.parametrize("method", ["WatchRun", "WatchRuns"])
async def test_a_cursor_that_was_never_given_is_refused(
    edge: Edge, method: str, cursor: str
) -> None:
    run = await edge.finish()
    asked: Any = pb.WatchRunRequest(name=run.name, cursor=cursor)
    if method == "WatchRuns":
        asked = pb.WatchRunsRequest(parent=TENANT, cursor=cursor)
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID") as refusal:
        await edge.ask(method, asked)
    assert refusal.metadata == {"field": "cursor"}
    assert refusal.fields == ["cursor"]


@pytest.mark.parametrize("method", ["WatchRun", "WatchRuns"])
async def test_a_tenant_has_so_many_open_watches_and_one_more_when_one_ends(
    edge: Edge, world: World, method: str
) -> None:
    world.hang()
    run = await edge.create()
    await edge.until(run.name, "INGESTING")
    request = pb.WatchRunRequest(name=run.name)
    calls = [
        edge.runs.WatchRun(request, metadata=key(WRITER)) for _ in range(watches.MOST_PER_TENANT)
    ]
    for call in calls:
        await call.read()
    asked: Any = request if method == "WatchRun" else pb.WatchRunsRequest(parent=TENANT)
    with refused("RESOURCE_EXHAUSTED", "TOO_MANY_WATCHES") as refusal:
        await edge.ask(method, asked)
    assert refusal.metadata == {"tenant": "acme_corp", "limit": "100"}
    assert refusal.retry_after == 5
    calls.pop().cancel()
    async with asyncio.timeout(10):
        while not await answers(edge, request):
            await asyncio.sleep(0.02)
    for call in calls:
        call.cancel()


async def answers(edge: Edge, request: pb.WatchRunRequest) -> bool:
    call = edge.runs.WatchRun(request, metadata=key(WRITER))
    try:
        return bool(await call.read())
    except Exception:  # noqa: BLE001 whatever refuses
        return False
    finally:
        call.cancel()


async def test_a_quiet_stream_says_that_it_lives(
    edge: Edge, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(watches, "PROGRESS_SECONDS", 0.05)
    world.hang()
    run = await edge.create()
    await edge.until(run.name, "INGESTING")
    one = await take(edge.watch(run.name, timeout=20), 3)
    assert {message.run.position for message in one} == {one[0].run.position}
    every = await take(watch_all(edge, TENANT), 2)
    assert not any(message.HasField("run") for message in every)
    assert {message.cursor for message in every} == {str(one[0].run.position)}


async def test_all_changes_of_a_tenant_are_shown_from_now_on_and_of_no_other(edge: Edge) -> None:
    before = await edge.finish()
    stream = watch_all(edge, TENANT)
    first = asyncio.create_task(take(stream, 1))
    ours = set()
    while not first.done():
        await edge.create(parent="tenants/widgetsinc/pipelines/p_bill", secret=NEIGHBOUR)
        ours.add((await edge.finish(parent=f"{TENANT}/pipelines/p_other")).name)
        await theirs_rest(edge)
    names = {message.run.name for message in await first}
    async with asyncio.timeout(10):
        async for message in stream:
            names.add(message.run.name)
            if state_of(message.run) == "SUCCEEDED":
                break
    assert names <= ours
    assert before.name not in names


async def theirs_rest(edge: Edge) -> None:
    """Wait until the neighbour's runs are over."""
    request = pb.ListRunsRequest(parent="tenants/widgetsinc")
    async with asyncio.timeout(10):
        while True:
            answer = await edge.ask("ListRuns", request, secret=NEIGHBOUR)
            if {state_of(run) for run in answer.runs} == {"SUCCEEDED"}:
                return


async def test_changes_of_one_pipeline_are_shown_alone(edge: Edge) -> None:
    await edge.finish()
    other = await edge.finish(parent=f"{TENANT}/pipelines/p_other")
    stream = watch_all(edge, f"{TENANT}/pipelines/p_other", cursor="1")
    (message,) = await take(stream, 1)
    assert (message.run.name, state_of(message.run)) == (other.name, "SUCCEEDED")


async def test_changes_from_a_cursor_on_are_all_there_in_order_once(edge: Edge) -> None:
    first = await edge.finish()
    second = await edge.finish(parent=f"{TENANT}/pipelines/p_other")
    messages = await take(watch_all(edge, TENANT, cursor="1"), 2)
    assert [message.run.name for message in messages] == [first.name, second.name]
    (last,) = await take(watch_all(edge, TENANT, cursor=messages[0].cursor), 1)
    assert last.run.name == second.name


async def test_runs_of_a_pipeline_that_is_not_there_cannot_be_watched(edge: Edge) -> None:
    with refused("NOT_FOUND", "PIPELINE_NOT_FOUND"):
        await edge.ask("WatchRuns", pb.WatchRunsRequest(parent=f"{TENANT}/pipelines/p_gone"))


async def test_a_watch_is_about_one_run(edge: Edge) -> None:
    run = await edge.finish()
    with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
        await edge.ask("WatchRun", pb.WatchRunRequest(name=f"{PIPELINE}/runs/r_gone"))
    assert refusal.metadata == {"name": f"{PIPELINE}/runs/r_gone"}
    assert run.name


async def test_a_server_that_stops_ends_its_watches_at_once_as_when_their_time_is_over(
    world: World, tmp_path: Path
) -> None:
    world.hang()
    async with authenticating(tmp_path) as auth, contextlib.AsyncExitStack() as stack:
        served = contextlib.AsyncExitStack()
        patient = {"grace_seconds": 60.0}
        edge = await served.enter_async_context(
            orchestrating(world, auth, tmp_path, settings=patient)
        )
        await active(edge)
        run = await edge.create()
        await edge.until(run.name, "INGESTING")
        channel = await stack.enter_async_context(open_channel(edge.address))
        stub = RunServiceStub(channel)
        one = stub.WatchRun(pb.WatchRunRequest(name=run.name), metadata=key(WRITER), timeout=60)
        every = stub.WatchRuns(
            pb.WatchRunsRequest(parent=TENANT, cursor="1"), metadata=key(WRITER), timeout=60
        )
        await take(aiter(one), 1)
        await take(aiter(every), 1)
        async with asyncio.timeout(20):
            await served.aclose()
        for stream in (one, every):
            async for _ in stream:
                pass
            assert await stream.code() is grpc.StatusCode.OK
