"""RunService over a socket: each RPC's success and each failure that its comment documents."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from convergence.orchestrator.v1 import run_service_pb2 as pb
from convergence.orchestrator.v1.run_pb2 import RunLimit, RunWait
from google.protobuf.timestamp_pb2 import Timestamp

from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.runs import records as r
from services.orchestrator.specs import WindowSpec, WriteSpec
from services.orchestrator.workers.memory_workers import Item
from tests.integration.orchestrator.serving import (
    NEIGHBOUR,
    PIPELINE,
    Edge,
    active,
    authenticating,
    catalogue_of,
    edge_over,
    orchestrating,
    stamp,
    state_of,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import NOON, World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",))]
DAILY = spec().model_copy(
    update={
        "pipeline": "p_daily",
        "window": WindowSpec(lookback_days=3, lag_days=1, timezone="America/New_York"),
        "write": WriteSpec(mode="replace", scope=("usage_date",)),
    }
)
DAILY_NAME = "tenants/acme_corp/pipelines/p_daily"
BROKEN = FileError(
    file="acme_corp/pipelines/p_broken.yml", line=3, field="target.tabel", found="tabel",
    allowed="dataset, table", advice="did you mean table?",
)  # fmt: skip


def catalogue() -> MemoryCatalogue:
    made = catalogue_of()
    made.put(DAILY, at=NOON)
    made.put_broken("acme_corp", "p_broken", BROKEN, at=NOON)
    made.put(spec().model_copy(update={"pipeline": "p_other"}), at=NOON)
    return made


@pytest.fixture
def world() -> World:
    return World.of(a_csv=ONE)


@pytest.fixture
async def edge(world: World, tmp_path: Path) -> AsyncGenerator[Edge]:
    async with edge_over(world, tmp_path, catalogue=catalogue()) as running:
        yield running


async def test_a_new_run_is_pending_and_says_who_asked(edge: Edge) -> None:
    run = await edge.create()
    assert (run.name, state_of(run), run.attempt) == (f"{PIPELINE}/runs/r0", "PENDING", 1)
    assert run.created_by
    assert run.spec_hash == spec().spec_hash
    assert run.create_time.ToDatetime(tzinfo=UTC) == NOON
    assert run.position > 0
    assert not run.HasField("receipt")


async def test_a_run_for_a_moment_covers_its_day_and_the_days_before_in_its_zone(
    edge: Edge,
) -> None:
    moment = datetime(2026, 11, 10, 3, tzinfo=UTC)
    run = await edge.create(parent=DAILY_NAME, window_time=stamp(moment))
    assert run.window.start_time.ToDatetime() == datetime(2026, 11, 7, 5)  # noqa: DTZ001
    assert run.window.end_time.ToDatetime() == datetime(2026, 11, 10, 5)  # noqa: DTZ001
    (scope,) = run.scope
    assert scope.column == "usage_date"
    assert list(scope.values) == ["2026-11-07", "2026-11-08", "2026-11-09"]


async def test_a_repeat_gives_the_same_run_even_when_it_is_over(edge: Edge) -> None:
    first = await edge.create(request=7)
    done = await edge.until(first.name, "SUCCEEDED")
    again = await edge.create(request=7)
    assert (again.name, again.position) == (first.name, done.position)


async def test_a_repeat_gives_the_same_run_after_a_restart(world: World, tmp_path: Path) -> None:
    names = []
    async with authenticating(tmp_path) as auth:
        for _ in range(2):
            async with orchestrating(world, auth, tmp_path) as edge:
                await active(edge)
                names.append((await edge.create(request=7)).name)
                await edge.until(names[-1], "SUCCEEDED")
                with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
                    await edge.create(request=7, reload=True)
    assert names[0] == names[1]
    assert len(world.published()) == 2


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"reload": True}, "reload"),
        ({"window_time": stamp(datetime(2026, 11, 1, tzinfo=UTC))}, "window_time"),
        ({"parent": f"{PIPELINE[:-4]}other"}, "parent"),
        (
            {"reload": True, "window_time": stamp(datetime(2026, 11, 2, tzinfo=UTC))},
            "window_time,reload",
        ),
    ],
    ids=["reload", "moment", "pipeline", "both"],
)
async def test_a_request_id_with_other_content_is_refused_and_the_difference_named(
    edge: Edge, change: dict[str, Any], differs: str
) -> None:
    first = await edge.create(request=7)
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED") as refusal:
        await edge.create(request=7, **change)
    assert refusal.metadata == {
        "requestId": str(UUID(int=7)),
        "run": first.name,
        "differs": differs,
    }


async def test_another_tenant_may_use_the_same_request_id(edge: Edge) -> None:
    ours = await edge.create(request=7)
    theirs = await edge.create(
        request=7, parent="tenants/widgetsinc/pipelines/p_bill", secret=NEIGHBOUR
    )
    assert ours.name != theirs.name


async def test_every_wrong_field_of_a_request_is_named_at_once(edge: Edge) -> None:
    asked = pb.CreateRunRequest(
        parent="acme", request_id="not-a-uuid", window_time=Timestamp(seconds=10**15)
    )
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await edge.ask("CreateRun", asked)
    assert refusal.fields == ["parent", "request_id", "window_time"]


async def test_a_missing_pipeline_starts_nothing(edge: Edge) -> None:
    name = "tenants/acme_corp/pipelines/p_gone"
    with refused("NOT_FOUND", "PIPELINE_NOT_FOUND") as refusal:
        await edge.create(parent=name)
    assert refusal.metadata == {"name": name}
    assert await runs_of(edge, "tenants/acme_corp") == []


async def test_a_broken_pipeline_starts_nothing_and_file_line_and_field_are_named(
    edge: Edge,
) -> None:
    with refused("FAILED_PRECONDITION", "CONFIG_INVALID") as refusal:
        await edge.create(parent="tenants/acme_corp/pipelines/p_broken")
    assert refusal.fields == ["acme_corp/pipelines/p_broken.yml:3 target.tabel"]
    assert refusal.metadata == {"name": "tenants/acme_corp/pipelines/p_broken"}
    assert await runs_of(edge, "tenants/acme_corp") == []


async def test_a_second_live_run_about_the_same_window_is_refused(edge: Edge, world: World) -> None:
    world.hang()
    first = await edge.create()
    with refused("FAILED_PRECONDITION", "RUN_ALREADY_ACTIVE") as refusal:
        await edge.create()
    assert refusal.metadata == {"name": PIPELINE, "run": first.name}


@pytest.mark.parametrize(
    "ahead", [timedelta(0), timedelta(days=1), timedelta(days=400)], ids=["today", "1d", "400d"]
)
async def test_a_window_in_the_future_is_refused_and_the_latest_day_named(
    edge: Edge, ahead: timedelta
) -> None:
    moment = NOON + ahead
    with refused("INVALID_ARGUMENT", "WINDOW_IN_FUTURE") as refusal:
        await edge.create(parent=DAILY_NAME, window_time=stamp(moment))
    assert refusal.metadata == {
        "windowTime": moment.date().isoformat(),
        "latest": "2026-11-19",
    }
    assert refusal.fields == ["window_time"]


@pytest.mark.parametrize(
    "moment",
    [datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)],
    ids=["zone", "lookback"],
)
async def test_a_day_before_all_days_is_refused_by_field(edge: Edge, moment: datetime) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await edge.create(parent=DAILY_NAME, window_time=stamp(moment))
    assert refusal.fields == ["window_time"]


async def test_a_moment_for_a_pipeline_without_a_window_is_refused(edge: Edge) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await edge.create(window_time=stamp(NOON))
    assert refusal.fields == ["window_time"]


async def test_runs_beyond_those_that_a_tenant_may_have_wait_and_say_why_and_too_many_are_refused(
    world: World, tmp_path: Path
) -> None:
    gate = world.hang()
    pipelines = [spec().model_copy(update={"pipeline": f"p_{n}"}) for n in range(23)]
    files = catalogue_of(*pipelines)
    async with edge_over(world, tmp_path, catalogue=files, most_pending=2) as edge:
        parents = [f"tenants/acme_corp/pipelines/p_{n}" for n in range(23)]
        names = [(await edge.create(parent=parent)).name for parent in parents[:20]]
        for name in names:
            await edge.until(name, "INGESTING")
        late = [(await edge.create(parent=parent)).name for parent in parents[20:22]]
        with refused("RESOURCE_EXHAUSTED", "TOO_MANY_RUNS") as refusal:
            await edge.create(parent=parents[22])
        assert refusal.metadata == {"tenant": "acme_corp", "limit": "2"}
        assert refusal.retry_after == 5
        for ahead, name in enumerate(late):
            run = await edge.until(name, "PENDING")
            assert run.wait == RunWait(
                limit=RunLimit.RUN_LIMIT_LIVE_RUNS,
                message="the tenant has as many live runs as its limit live_run_count allows, 20; "
                "wait until one ends, or have the limit raised",
                ahead_run_count=ahead,
            )
        await waiting_is_told(edge)
        gate.set()
        for name in (*names, *late):
            assert not (await edge.until(name, "SUCCEEDED")).HasField("wait")
        assert (await edge.create(parent=parents[22])).name


async def waiting_is_told(edge: Edge) -> None:
    request = pb.GetQueueRequest(parent="tenants/acme_corp")
    answer: pb.GetQueueResponse = await edge.ask("GetQueue", request)
    (line,) = answer.tenants
    counts = (line.begun_run_count, line.live_run_count, line.waiting_run_count)
    assert (counts, [lane.waiting_run_count for lane in line.lanes]) == ((20, 20, 2), [2, 0, 0])
    found = {
        limit: edge.host.registry.get_sample_value(
            "convergence_orchestrator_runs_waiting", {"limit": limit}
        )
        for limit in ("live_runs", "read_bytes")
    }
    assert found == {"live_runs": 2, "read_bytes": 0}


async def test_while_the_journal_cannot_be_written_nothing_is_promised(
    world: World, tmp_path: Path
) -> None:
    async with edge_over(world, tmp_path, patience_seconds=0.2) as edge:
        world.journals.gate = asyncio.Event()
        for _ in range(2):
            with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
                await edge.create(request=7)
            assert refusal.retry_after > 0
        world.journals.gate.set()
        run = await edge.create(request=7)
        await edge.until(run.name, "SUCCEEDED")
    created = [x for x in world.journals.records if isinstance(x.detail, r.RunCreated)]
    assert len(created) == 1


async def test_a_caller_that_hangs_up_leaves_a_run_that_goes_on(
    world: World, tmp_path: Path
) -> None:
    async with edge_over(world, tmp_path) as edge:
        world.journals.gate = asyncio.Event()
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await edge.ask("CreateRun", start(7), seconds=0.3)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        world.journals.gate.set()
        run = await edge.create(request=7)
        await edge.until(run.name, "SUCCEEDED")
    assert len(world.published()) == 2


def start(number: int) -> pb.CreateRunRequest:
    return pb.CreateRunRequest(parent=PIPELINE, request_id=str(UUID(int=number)))


async def runs_of(edge: Edge, parent: str) -> list[str]:
    answer = await edge.ask("ListRuns", pb.ListRunsRequest(parent=parent))
    return [run.name for run in answer.runs]
