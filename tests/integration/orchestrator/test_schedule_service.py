"""ScheduleService over a socket: fires start runs, pauses hold, and every documented failure."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from convergence.orchestrator.v1 import run_pb2, schedule_pb2
from convergence.orchestrator.v1 import run_service_pb2 as runs_pb
from convergence.orchestrator.v1 import schedule_service_pb2 as pb

from libs.common.names import RunName
from services.orchestrator.active import Active
from services.orchestrator.archive.archive import MemoryArchive
from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.runs.facts import forget
from services.orchestrator.specs import PipelineSpec, ScheduleSpec, WindowSpec, WriteSpec
from services.orchestrator.workers.memory_workers import Item
from tests.integration.orchestrator.serving import (
    READER,
    ROOT,
    Edge,
    active,
    authenticating,
    catalogue_of,
    edge_over,
    orchestrating,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import NOON, World, spec

TENANT = "tenants/acme_corp"
NAME = f"{TENANT}/pipelines/p_daily/schedule"
SIX = datetime(2026, 11, 21, 6, tzinfo=UTC)
"""When the schedules fire first after NOON."""


def daily(pipeline: str = "p_daily", tenant: str = "acme_corp", **fields: Any) -> PipelineSpec:
    """A pipeline about days with a lag of one, at six."""
    return spec().model_copy(
        update={
            "tenant": tenant,
            "pipeline": pipeline,
            "window": WindowSpec(lookback_days=2, lag_days=1),
            "write": WriteSpec(mode="append"),
            "schedule": ScheduleSpec(cron="0 6 * * *", **fields),
        }
    )


@pytest.fixture
def world() -> World:
    return World.of(a_csv=[Item(scope="a.csv", money=("1.5",))])


@pytest.fixture
def files() -> MemoryCatalogue:
    return catalogue_of(spec(), daily(), daily("p_other"), daily(tenant="sleepers"))


@pytest.fixture
async def edge(world: World, files: MemoryCatalogue, tmp_path: Path) -> AsyncGenerator[Edge]:
    options = {"catalogue": files, "rest": soon, "patience_seconds": 0.3}
    async with edge_over(world, tmp_path, **options) as running:
        yield running


async def soon(seconds: float) -> None:
    """Look again at once: time is the world's."""
    await asyncio.sleep(min(seconds, 0.01))


async def get(edge: Edge, name: str = NAME, **options: Any) -> schedule_pb2.Schedule:
    answer = await edge.ask("GetSchedule", pb.GetScheduleRequest(name=name), **options)
    found = answer.schedule
    assert isinstance(found, schedule_pb2.Schedule)
    return found


async def fired(edge: Edge, name: str = NAME, **options: Any) -> schedule_pb2.Schedule:
    """Wait until something became of a fire."""
    async with asyncio.timeout(5):
        while not (found := await get(edge, name, **options)).last_fires:
            await asyncio.sleep(0.01)
    return found


def day(stamp: Any) -> str:
    return str(stamp.ToDatetime(tzinfo=UTC).strftime("%d %H:%M"))


async def test_a_schedule_says_what_it_will_do(edge: Edge) -> None:
    found = await get(edge)
    assert (found.name, found.cron, found.time_zone) == (NAME, "0 6 * * *", "UTC")
    assert found.overlap == schedule_pb2.OVERLAP_POLICY_SKIP
    assert found.catch_up.seconds == 7 * 86400
    assert not found.HasField("pause")
    assert not found.HasField("after_timeout")
    fires = [day(one.fire_time) for one in found.next_fires]
    assert fires == ["21 06:00", "22 06:00", "23 06:00", "24 06:00", "25 06:00"]
    window = found.next_fires[0].window
    assert (day(window.start_time), day(window.end_time)) == ("19 00:00", "21 00:00")


async def test_a_fire_starts_a_run_that_both_services_show(edge: Edge, world: World) -> None:
    await get(edge)
    world.clock.now = SIX + timedelta(seconds=2)
    (fire,) = (await fired(edge)).last_fires
    assert (day(fire.fire_time), fire.fire_count) == ("21 06:00", 1)
    assert fire.outcome == schedule_pb2.FIRE_OUTCOME_STARTED
    run = await edge.until(fire.run, "SUCCEEDED")
    assert (run.created_by, run.lane) == ("schedule", run_pb2.RUN_LANE_SCHEDULED)
    assert day(run.fire_time) == "21 06:00"
    assert (day(run.window.start_time), day(run.window.end_time)) == ("19 00:00", "21 00:00")
    (fire,) = (await get(edge)).last_fires
    assert fire.run_state == run_pb2.RUN_STATE_SUCCEEDED
    await fired(edge, f"{TENANT}/pipelines/p_other/schedule")
    value = edge.host.registry.get_sample_value
    assert value("convergence_orchestrator_fires_total", {"outcome": "started"}) == 2
    assert value("convergence_orchestrator_fire_lag_seconds_count") == 2
    assert value("convergence_orchestrator_fires_waiting") == 0


async def test_a_fire_of_long_ago_still_says_how_its_run_ended(
    world: World, tmp_path: Path
) -> None:
    leading: list[Active] = []

    def beside(active: Active) -> list[asyncio.Task[None]]:
        leading.append(active)
        return []

    options = {
        "catalogue": catalogue_of(daily()),
        "rest": soon,
        "archive": MemoryArchive(lambda: world.journals.records),
        "beside": beside,
    }
    async with edge_over(world, tmp_path, **options) as edge:
        await get(edge)
        world.clock.now = SIX + timedelta(seconds=2)
        (fire,) = (await fired(edge)).last_fires
        await edge.until(fire.run, "SUCCEEDED")
        ledger = leading[0].ledger
        forget(ledger, [ledger.runs[RunName.parse(fire.run)]])
        (fire,) = (await get(edge)).last_fires
        assert fire.run_state == run_pb2.RUN_STATE_SUCCEEDED
        listed = await edge.ask("ListSchedules", pb.ListSchedulesRequest(parent=TENANT))
        (fire,) = listed.schedules[0].last_fires
        assert fire.run_state == run_pb2.RUN_STATE_UNSPECIFIED


async def test_a_run_that_waits_says_for_whom_and_until_when(world: World, tmp_path: Path) -> None:
    async def hang(seconds: float) -> None:
        await asyncio.Event().wait()

    files = catalogue_of(daily(after=("p_up",), after_timeout_seconds=3600))
    async with edge_over(world, tmp_path, catalogue=files, rest=soon, sleep=hang) as edge:
        assert list((await get(edge)).after) == [f"{TENANT}/pipelines/p_up"]
        world.clock.now = SIX
        (fire,) = (await fired(edge)).last_fires
        run = (await edge.ask("GetRun", runs_pb.GetRunRequest(name=fire.run))).run
        assert run.state == run_pb2.RUN_STATE_PENDING
        assert list(run.waits_for) == [f"{TENANT}/pipelines/p_up"]
        assert day(run.wait_expire_time) == "21 07:00"


async def test_a_pause_holds_with_who_and_why_and_may_be_repeated(edge: Edge, world: World) -> None:
    await get(edge)
    for reason in ("the source is down", "again"):
        request = pb.PauseScheduleRequest(name=NAME, reason=reason)
        paused = (await edge.ask("PauseSchedule", request)).schedule
        assert paused.pause.reason == "the source is down"
        assert paused.pause.by
        assert paused.pause.pause_time.ToDatetime(tzinfo=UTC) == NOON
    world.clock.now = SIX + timedelta(days=2)
    other = await fired(edge, f"{TENANT}/pipelines/p_other/schedule")
    assert other.last_fires
    assert not (await get(edge)).last_fires
    for _ in range(2):
        resumed = (await edge.ask("ResumeSchedule", pb.ResumeScheduleRequest(name=NAME))).schedule
        assert not resumed.HasField("pause")
    async with asyncio.timeout(5):
        while len(found := (await get(edge)).last_fires) < 3:
            await asyncio.sleep(0.01)
    assert [day(one.fire_time) for one in found] == ["23 06:00", "22 06:00", "21 06:00"]
    assert {one.outcome for one in found} == {schedule_pb2.FIRE_OUTCOME_STARTED}


async def test_a_suspended_tenant_does_not_fire_and_its_schedule_says_so(
    edge: Edge, world: World
) -> None:
    name = "tenants/sleepers/pipelines/p_daily/schedule"
    await get(edge, name, secret=ROOT)
    world.clock.now = SIX
    await fired(edge)
    async with asyncio.timeout(5):
        while not (found := await get(edge, name, secret=ROOT)).hindrance:
            await asyncio.sleep(0.01)
    assert "suspended" in found.hindrance
    assert not found.last_fires
    value = edge.host.registry.get_sample_value
    assert value("convergence_orchestrator_schedules", {"state": "hindered"}) == 1


async def test_what_was_fired_outlives_the_orchestrator(
    world: World, files: MemoryCatalogue, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"catalogue": files, "rest": soon}
    async with authenticating(tmp_path) as auth:
        async with orchestrating(world, auth, tmp_path, **options) as edge:
            await active(edge)
            await get(edge)
            world.clock.now = SIX
            (fire,) = (await fired(edge)).last_fires
            await edge.until(fire.run, "SUCCEEDED")
        async with orchestrating(
            world, auth, tmp_path, journal=world.journals.member(), **options
        ) as edge:
            await active(edge)
            (again,) = (await get(edge)).last_fires
            assert again.run == fire.run
            runs = await edge.ask("ListRuns", runs_pb.ListRunsRequest(parent=TENANT))
            assert [run.name for run in runs.runs].count(fire.run) == 1


async def test_schedules_are_listed_by_pipeline_page_by_page(edge: Edge) -> None:
    first = await edge.ask("ListSchedules", pb.ListSchedulesRequest(parent=TENANT, page_size=1))
    assert [one.name for one in first.schedules] == [NAME]
    token = first.next_page_token
    request = pb.ListSchedulesRequest(parent=TENANT, page_size=1, page_token=token)
    second = await edge.ask("ListSchedules", request, secret=READER)
    assert [one.name for one in second.schedules] == [f"{TENANT}/pipelines/p_other/schedule"]
    assert not second.next_page_token
    request = pb.ListSchedulesRequest(parent=TENANT, page_token="no")
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await edge.ask("ListSchedules", request)


def named(method: str, name: str) -> Any:
    message = getattr(pb, f"{method}Request")
    return message(name=name, reason="why") if method == "PauseSchedule" else message(name=name)


@pytest.mark.parametrize("method", ["GetSchedule", "PauseSchedule", "ResumeSchedule"])
async def test_a_pipeline_without_a_schedule_has_none(edge: Edge, method: str) -> None:
    name = f"{TENANT}/pipelines/p_bill/schedule"
    with refused("NOT_FOUND", "SCHEDULE_NOT_FOUND") as refusal:
        await edge.ask(method, named(method, name))
    assert refusal.metadata == {"name": name}


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
async def test_a_pause_needs_a_reason(edge: Edge, reason: str) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await edge.ask("PauseSchedule", pb.PauseScheduleRequest(name=NAME, reason=reason))
    assert refusal.fields == ["reason"]


@pytest.mark.parametrize(
    "method", ["GetSchedule", "ListSchedules", "PauseSchedule", "ResumeSchedule"]
)
async def test_nothing_is_answered_that_is_not_durable(
    edge: Edge, world: World, files: MemoryCatalogue, method: str
) -> None:
    await get(edge)
    world.journals.gate = asyncio.Event()
    files.put(daily(jitter_seconds=60), at=NOON)
    listing = pb.ListSchedulesRequest(parent=TENANT)
    request = listing if method == "ListSchedules" else named(method, NAME)
    with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
        await edge.ask(method, request)
    assert refusal.retry_after > 0
    world.journals.gate.set()
