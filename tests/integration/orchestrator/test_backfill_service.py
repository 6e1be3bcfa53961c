"""BackfillService over a real socket: created, steered, shown, refused, and there after a restart."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from convergence.orchestrator.v1 import backfill_pb2, run_pb2
from convergence.orchestrator.v1 import backfill_service_pb2 as pb
from convergence.orchestrator.v1 import run_service_pb2 as runs_pb

from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.journal.journal import MemoryJournals
from tests.integration.orchestrator.serving import (
    NEIGHBOUR,
    ROOT,
    WRITER,
    Edge,
    active,
    authenticating,
    catalogue_of,
    edge_over,
    orchestrating,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.backfills.daily import daily, daily_world
from tests.unit.orchestrator.conductor.world import NOON, spec

PARENT = "tenants/acme_corp/pipelines/p_daily"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def catalogue() -> MemoryCatalogue:
    made = catalogue_of(spec(), daily(), daily(pipeline="p_other"), daily(tenant="widgetsinc"))
    wrong = FileError(file="f", field="x", found="y", allowed="z", advice="mend it")
    made.put_broken("acme_corp", "p_broken", wrong, at=NOON)
    return made


@pytest_asyncio.fixture(loop_scope="module")
async def edge(tmp_path: Path) -> AsyncGenerator[Edge]:
    async with edge_over(daily_world(), tmp_path, catalogue=catalogue()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idle(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Edge]:
    """An edge that is only asked for what it refuses."""
    folder = tmp_path_factory.mktemp("idle")
    async with edge_over(daily_world(), folder, catalogue=catalogue()) as running:
        yield running


def request(number: int = 1, **fields: Any) -> pb.CreateBackfillRequest:
    given = {"parent": PARENT, "start_date": "2026-11-01", "end_date": "2026-11-05", **fields}
    return pb.CreateBackfillRequest(request_id=str(UUID(int=number)), **given)


async def create(edge: Edge, number: int = 1, **fields: Any) -> backfill_pb2.Backfill:
    answer: pb.CreateBackfillResponse = await edge.ask("CreateBackfill", request(number, **fields))
    return answer.backfill


async def get(edge: Edge, name: str) -> backfill_pb2.Backfill:
    answer: pb.GetBackfillResponse = await edge.ask("GetBackfill", pb.GetBackfillRequest(name=name))
    return answer.backfill


async def until(edge: Edge, name: str, state: str) -> backfill_pb2.Backfill:
    async with asyncio.timeout(10):
        while state_of(found := await get(edge, name)) != state:
            await asyncio.sleep(0.02)
    return found


async def runs_of(edge: Edge) -> list[run_pb2.Run]:
    return list((await edge.ask("ListRuns", runs_pb.ListRunsRequest(parent=PARENT))).runs)


def state_of(backfill: backfill_pb2.Backfill) -> str:
    return backfill_pb2.BackfillState.Name(backfill.state).removeprefix("BACKFILL_STATE_")


async def test_a_backfill_runs_every_window_and_says_what_was_published(edge: Edge) -> None:
    made = await create(edge, reason="a new tenant")
    assert (made.start_date, made.end_date, made.reason) == (
        "2026-11-01",
        "2026-11-05",
        "a new tenant",
    )
    assert (made.max_parallel, made.max_failures, made.created_by != "") == (4, 10, True)
    assert made.order == backfill_pb2.BACKFILL_ORDER_NEWEST_FIRST
    assert made.spec_hash == daily().spec_hash
    done = await until(edge, made.name, "FINISHED")
    assert (done.progress.window_count, done.progress.succeeded_count) == (4, 4)
    assert done.receipt.landed_row_count == 4
    assert [(m.column, m.landed) for m in done.receipt.money] == [("cost", "6")]
    assert edge.world.published(daily()) == [(f"2026-11-0{n}", "1.5") for n in (1, 2, 3, 4)]
    assert done.HasField("end_time")
    assert not done.troubles


async def test_its_runs_say_that_they_are_its_own_and_read_one_window_each(edge: Edge) -> None:
    made = await create(edge)
    await until(edge, made.name, "FINISHED")
    listed = await runs_of(edge)
    assert {run.backfill for run in listed} == {made.name}
    assert {run.created_by for run in listed} == {"backfill"}
    assert {run.lane for run in listed} == {run_pb2.RUN_LANE_BACKFILL}
    assert {(w := run.window).end_time.seconds - w.start_time.seconds for run in listed} == {86400}
    assert {run.spec_hash for run in listed} == {made.spec_hash}


async def test_an_edit_of_the_files_changes_no_run_of_it(tmp_path: Path) -> None:
    files = catalogue()
    async with edge_over(daily_world(), tmp_path, catalogue=files) as edge:
        event = edge.world.hang()
        made = await create(edge, max_parallel=1)
        edited = daily(lookback=3)
        files.put(edited, at=NOON)
        event.set()
        await until(edge, made.name, "FINISHED")
        assert edited.spec_hash != daily().spec_hash
        assert {run.spec_hash for run in await runs_of(edge)} == {daily().spec_hash}


async def test_a_repeated_request_returns_the_same_backfill_also_after_a_restart(
    tmp_path: Path,
) -> None:
    world = daily_world()
    async with authenticating(tmp_path) as auth:
        async with orchestrating(world, auth, tmp_path, catalogue=catalogue()) as edge:
            await active(edge)
            first = await create(edge, max_parallel=2)
            assert (await create(edge, max_parallel=2)).name == first.name
        async with orchestrating(world, auth, tmp_path, catalogue=catalogue()) as edge:
            await active(edge)
            assert (await create(edge, max_parallel=2)).name == first.name
            with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED") as refusal:
                await create(edge, max_parallel=3, end_date="2026-11-06")
            assert refusal.metadata == {
                "requestId": str(UUID(int=1)),
                "backfill": first.name,
                "differs": "end_date,max_parallel",
            }
            done = await until(edge, first.name, "FINISHED")
            assert done.progress.succeeded_count == 4
            assert len(await runs_of(edge)) == 4


async def test_pause_resume_and_cancel_are_answered_with_the_state_and_may_be_repeated(
    edge: Edge,
) -> None:
    event = edge.world.hang()
    made = await create(edge, max_parallel=1)
    for _ in range(2):
        asked = pb.PauseBackfillRequest(name=made.name, reason="the source is sick")
        paused = (await edge.ask("PauseBackfill", asked)).backfill
        assert state_of(paused) == "PAUSED"
        gauge = "convergence_orchestrator_backfills"
        assert edge.host.registry.get_sample_value(gauge, {"state": "PAUSED"}) == 1
        assert edge.host.registry.get_sample_value(gauge, {"state": "RUNNING"}) == 0
        assert (paused.pause_reason, paused.paused_by) == ("the source is sick", made.created_by)
    for _ in range(2):
        resumed = await edge.ask("ResumeBackfill", pb.ResumeBackfillRequest(name=made.name))
        assert state_of(resumed.backfill) == "RUNNING"
        assert not resumed.backfill.pause_reason
    for _ in range(2):
        wrong = pb.CancelBackfillRequest(name=made.name, reason="wrong range")
        cancelled = (await edge.ask("CancelBackfill", wrong)).backfill
        assert state_of(cancelled) in {"CANCELLING", "CANCELLED"}
        assert cancelled.cancel_reason == "wrong range"
    event.set()
    done = await until(edge, made.name, "CANCELLED")
    assert done.progress.cancelled_count == len(await runs_of(edge))
    assert edge.world.published(daily()) == []


@pytest.mark.parametrize("method", ["PauseBackfill", "ResumeBackfill", "CancelBackfill"])
async def test_what_is_ended_cannot_be_steered(edge: Edge, method: str) -> None:
    made = await create(edge, end_date="2026-11-02")
    await until(edge, made.name, "FINISHED")
    asked = getattr(pb, f"{method}Request")(name=made.name)
    with refused("FAILED_PRECONDITION", "BACKFILL_STATE_MISMATCH") as refusal:
        await edge.ask(method, asked)
    assert refusal.metadata == {
        "name": made.name,
        "state": "FINISHED",
        "allowed": "PAUSED, RUNNING",
    }


async def test_a_list_is_newest_first_in_pages_of_one_parent(edge: Edge) -> None:
    names = []
    for number, pipeline in enumerate(("p_daily", "p_other", "p_daily")):
        parent = f"tenants/acme_corp/pipelines/{pipeline}"
        made = await create(edge, number, parent=parent, end_date="2026-11-02")
        names.append((await until(edge, made.name, "FINISHED")).name)
    asked = pb.ListBackfillsRequest(parent="tenants/acme_corp", page_size=2)
    page = await edge.ask("ListBackfills", asked)
    assert [b.name for b in page.backfills] == names[:0:-1]
    assert [b.progress.succeeded_count for b in page.backfills] == [1, 1]
    asked.page_token = page.next_page_token
    assert [b.name for b in (await edge.ask("ListBackfills", asked)).backfills] == names[:1]
    other = pb.ListBackfillsRequest(parent="tenants/acme_corp/pipelines/p_other")
    assert [b.name for b in (await edge.ask("ListBackfills", other)).backfills] == names[1:2]
    asked = pb.ListBackfillsRequest(parent="tenants/widgetsinc")
    assert not (await edge.ask("ListBackfills", asked, secret=NEIGHBOUR)).backfills


async def test_a_page_token_of_another_list_is_refused(idle: Edge) -> None:
    asked = pb.ListBackfillsRequest(parent="tenants/acme_corp", page_token="nonsense")
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID") as refusal:
        await idle.ask("ListBackfills", asked)
    assert refusal.metadata == {"field": "page_token"}


async def test_another_tenants_backfill_answers_as_one_that_is_not_there(edge: Edge) -> None:
    made = await create(edge, end_date="2026-11-02")
    for method in ("GetBackfill", "PauseBackfill", "ResumeBackfill", "CancelBackfill"):
        said = []
        for name in (made.name, f"{made.name}x"):
            asked = getattr(pb, f"{method}Request")(name=name)
            with refused("NOT_FOUND", "BACKFILL_NOT_FOUND") as refusal:
                await edge.ask(method, asked, secret=NEIGHBOUR)
            assert refusal.metadata == {"name": name}
            said.append(refusal.status.message.replace(name, "NAME"))
        assert said[0] == said[1]
    assert state_of(await until(edge, made.name, "FINISHED")) == "FINISHED"
    seen = await edge.ask("GetBackfill", pb.GetBackfillRequest(name=made.name), secret=ROOT)
    assert seen.backfill.name == made.name


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"start_date": "2026-11-1"}, "start_date", "allowed is a date YYYY-MM-DD"),
        ({"end_date": ""}, "end_date", "allowed is a date YYYY-MM-DD"),
        ({"end_date": "2026-11-01"}, "end_date", "allowed is a day after start_date 2026-11-01"),
        ({"start_date": "2020-01-01"}, "end_date", "allowed are 1100: end it at 2023-01-05"),
        ({"start_date": "0001-01-01"}, "end_date", "allowed are 1100"),
        ({"max_parallel": 17}, "max_parallel", "allowed is 1 to 16, or 0 (meaning 4)"),
        ({"max_parallel": -1}, "max_parallel", "allowed is 1 to 16"),
        ({"max_failures": 1101}, "max_failures", "allowed is 1 to 1100, or 0 (meaning 10)"),
        ({"order": 9}, "order", "allowed are the values of BackfillOrder"),
        ({"reason": "x" * 1001}, "reason", "found 1001 characters; allowed are 1000"),
        ({"reload": True}, "reload", "mode replace, which always reads everything again"),
    ],
)
async def test_a_request_that_cannot_be_is_refused_by_field(
    idle: Edge, fields: dict[str, Any], field: str, said: str
) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await create(idle, **fields)
    assert refusal.fields == [field]
    assert said in refusal.status.message
    asked = pb.ListBackfillsRequest(parent="tenants/acme_corp")
    assert not (await idle.ask("ListBackfills", asked)).backfills


async def test_a_window_that_a_run_of_now_is_about_is_refused(edge: Edge) -> None:
    with refused("INVALID_ARGUMENT", "WINDOW_IN_FUTURE") as refusal:
        await create(edge, end_date="2026-11-20")
    assert refusal.metadata == {"windowTime": "2026-11-20", "latest": "2026-11-19"}
    assert state_of(await create(edge, end_date="2026-11-19")) == "RUNNING"


async def test_a_pipeline_without_windows_is_refused_with_what_to_do(idle: Edge) -> None:
    parent = "tenants/acme_corp/pipelines/p_bill"
    with refused("FAILED_PRECONDITION", "BACKFILL_NOT_POSSIBLE") as refusal:
        await create(idle, parent=parent)
    assert refusal.metadata == {"name": parent}
    assert "start a run" in refusal.status.message


async def test_a_pipeline_that_is_not_there_or_broken_is_refused(idle: Edge) -> None:
    parent = "tenants/acme_corp/pipelines/p_gone"
    with refused("NOT_FOUND", "PIPELINE_NOT_FOUND") as refusal:
        await create(idle, parent=parent)
    assert refusal.metadata == {"name": parent}
    with refused("FAILED_PRECONDITION", "CONFIG_INVALID"):
        await create(idle, parent="tenants/acme_corp/pipelines/p_broken")


async def test_a_pipeline_has_one_backfill_at_a_time(edge: Edge) -> None:
    event = edge.world.hang()
    made = await create(edge)
    with refused("FAILED_PRECONDITION", "BACKFILL_ALREADY_ACTIVE") as refusal:
        await create(edge, 2)
    assert refusal.metadata == {"name": PARENT, "backfill": made.name}
    event.set()
    await until(edge, made.name, "FINISHED")
    assert (await create(edge, 2)).name != made.name


async def test_a_pipeline_that_is_too_large_for_the_journal_is_refused(edge: Edge) -> None:
    edge.world.journals.largest_bytes = 1000
    with refused("FAILED_PRECONDITION", "WAREHOUSE_REJECTED") as refusal:
        await create(edge)
    assert refusal.metadata["allowed"] == "1000"
    edge.world.journals.largest_bytes = 1_000_000
    assert state_of(await create(edge)) == "RUNNING"


async def test_a_call_waits_for_the_journal_only_so_long_and_may_be_repeated(
    tmp_path: Path,
) -> None:
    world = daily_world()
    world.journals = MemoryJournals()
    options = {"catalogue": catalogue(), "patience_seconds": 0.1}
    async with edge_over(world, tmp_path, **options) as edge:
        world.journals.gate = asyncio.Event()
        with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE"):
            await edge.ask("CreateBackfill", request(), secret=WRITER)
        world.journals.gate.set()
        again = await create(edge)
        await until(edge, again.name, "FINISHED")
        assert len(await runs_of(edge)) == 4


@pytest.mark.parametrize("call", ["PauseBackfill", "GetBackfill", "ListBackfills"])
async def test_no_answer_shows_states_of_runs_that_are_not_durable(
    tmp_path: Path, call: str
) -> None:
    world = daily_world()
    world.journals = MemoryJournals()
    options = {"catalogue": catalogue(), "patience_seconds": 0.1}
    async with edge_over(world, tmp_path, **options) as edge:
        world.hang()
        made = await create(edge, max_parallel=1)
        await edge.ask("PauseBackfill", pb.PauseBackfillRequest(name=made.name))
        asks = {
            "PauseBackfill": pb.PauseBackfillRequest(name=made.name),
            "GetBackfill": pb.GetBackfillRequest(name=made.name),
            "ListBackfills": pb.ListBackfillsRequest(parent=PARENT),
        }
        (run,) = await runs_of(edge)
        world.journals.gate = asyncio.Event()
        with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE"):
            await edge.ask("CancelRun", runs_pb.CancelRunRequest(name=run.name))
        with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE"):
            await edge.ask(call, asks[call])
        world.journals.gate.set()
        await edge.ask(call, asks[call])
