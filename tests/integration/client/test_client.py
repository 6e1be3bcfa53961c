"""The SDK against an edge in this process."""

import asyncio
import socket
from datetime import UTC, datetime
from uuid import UUID

import pytest
from convergence.orchestrator.v1.run_pb2 import RunState

from libs.client import AsyncClient, Client
from libs.common import errors
from tests.support.fake_edge import FakeKeys, FakeRuns, serving

PIPELINE = "tenants/acme_corp/pipelines/p_focus_billing"
STATES = (
    RunState.RUN_STATE_PENDING,
    RunState.RUN_STATE_INGESTING,
    RunState.RUN_STATE_PUBLISHING,
    RunState.RUN_STATE_SUCCEEDED,
)


async def test_every_call_carries_the_key_and_a_request_id_of_its_own() -> None:
    runs = FakeRuns()
    async with serving(runs=runs) as address, AsyncClient(address, "the key") as client:
        await client.runs.start(PIPELINE)
        await client.runs.start(PIPELINE)
    ids = [UUID(request.request_id) for request in runs.requests]
    assert len(set(ids)) == 2
    assert [found["x-api-key"] for found in runs.metadata] == ["the key", "the key"]


async def test_a_window_time_reaches_the_server_as_the_moment_it_is() -> None:
    runs = FakeRuns()
    day = datetime(2026, 11, 20, tzinfo=UTC)
    async with serving(runs=runs) as address, AsyncClient(address) as client:
        await client.runs.start(PIPELINE, window_time=day)
    assert runs.requests[0].window_time.ToDatetime(tzinfo=UTC) == day


async def test_starting_a_run_is_repeated_with_the_same_id_while_the_service_is_away() -> None:
    runs = FakeRuns()
    runs.failures = [errors.Unavailable("away"), errors.Unavailable("away")]
    async with serving(runs=runs) as address, AsyncClient(address) as client:
        run = await client.runs.start(PIPELINE)
    assert run.name == f"{PIPELINE}/runs/r1"
    assert len(runs.requests) == 3
    assert len({request.request_id for request in runs.requests}) == 1


async def test_creating_a_key_is_never_repeated() -> None:
    keys = FakeKeys()
    keys.lost_replies = 1
    async with serving(keys=keys) as address, AsyncClient(address) as client:
        with pytest.raises(errors.Unavailable):
            await client.keys.create("tenants/acme_corp")
    assert len(keys.created) == 1


async def test_a_secret_is_not_in_the_text_of_a_new_key() -> None:
    async with serving() as address, AsyncClient(address) as client:
        made = await client.keys.create("tenants/acme_corp")
    assert made.secret
    assert made.secret not in repr(made)


async def test_a_call_that_takes_too_long_says_how_long_it_was_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        async with AsyncClient(address, call_seconds=0.3) as client:
            with pytest.raises(errors.Unavailable, match=r"did not answer within 0\.3 s") as late:
                await client.runs.get(f"{PIPELINE}/runs/r1")
    assert late.value.metadata == {"address": address, "waited": "0.3 s"}


async def test_a_watch_that_is_cut_off_goes_on_from_its_cursor() -> None:
    runs = FakeRuns(*STATES)
    runs.cut_after = 1
    async with serving(runs=runs) as address, AsyncClient(address) as client:
        seen = [one.run.state async for one in client.runs.watch(f"{PIPELINE}/runs/r1")]
    assert seen == list(STATES)
    assert [request.cursor for request in runs.requests] == ["", "1", "2", "3"]


async def test_a_watch_of_all_runs_goes_on_from_its_cursor_and_hides_heartbeats() -> None:
    runs = FakeRuns(*STATES)
    runs.failures = [errors.Unavailable("away")]
    seen: list[tuple[str, RunState]] = []
    async with serving(runs=runs) as address, AsyncClient(address) as client:
        async for one in client.runs.watch_all("tenants/acme_corp", cursor="1"):
            seen.append((one.cursor, one.run.state))
            if one.cursor == "4":
                break
    assert seen == [(str(i + 1), STATES[i]) for i in (1, 2, 3)]
    assert [request.cursor for request in runs.requests] == ["1", "1"]


async def test_a_watch_gives_up_when_nobody_answers() -> None:
    async with serving() as address:
        pass
    async with AsyncClient(address) as client:
        with pytest.raises(errors.Unavailable, match=address):
            await asyncio.wait_for(anext(client.runs.watch(PIPELINE, patience=0.3)), 10)


async def test_a_watch_does_not_hide_a_refusal() -> None:
    runs = FakeRuns(*STATES)
    runs.failures = [errors.PermissionDenied("no", reason="SCOPE_MISSING", scope="runs:read")]
    async with serving(runs=runs) as address, AsyncClient(address) as client:
        with pytest.raises(errors.PermissionDenied) as refused:
            await anext(client.runs.watch(f"{PIPELINE}/runs/r1"))
    assert refused.value.metadata == {"scope": "runs:read"}


async def test_start_and_wait_returns_the_settled_run_and_shows_those_before() -> None:
    seen: list[RunState] = []
    async with serving(runs=FakeRuns(*STATES)) as address, AsyncClient(address) as client:
        run = await client.runs.start_and_wait(
            PIPELINE, on_change=lambda run: seen.append(run.state)
        )
    assert run.state == RunState.RUN_STATE_SUCCEEDED
    assert seen == list(STATES)


@pytest.mark.parametrize(("limit", "count"), [(None, 5), (3, 3), (50, 5), (1, 1)])
async def test_lists_follow_pages_up_to_the_limit(limit: int | None, count: int) -> None:
    async with serving() as address, AsyncClient(address) as client:
        found = await client.runs.list("tenants/acme_corp", limit=limit)
    assert [run.name.rpartition("/")[2] for run in found] == [f"r{n}" for n in range(count)]


@pytest.mark.parametrize(
    "failure",
    [
        errors.InvalidRequest({"parent": "found 'x'"}),
        errors.Unauthenticated("who?", reason="API_KEY_UNKNOWN"),
        errors.PermissionDenied("no", reason="SCOPE_MISSING", scope="runs:write"),
        errors.NotFound("none", reason="PIPELINE_NOT_FOUND", name=PIPELINE),
        errors.AlreadyExists("used", reason="REQUEST_ID_REUSED", run="r1"),
        errors.FailedPrecondition("broken", reason="CONFIG_INVALID", violations={"a.yml": "bad"}),
        errors.QuotaExceeded("slow down", reason="TOO_MANY_RUNS", retry_after=2.5, limit="3"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_refusal_comes_back_as_the_kind_that_the_server_raised(
    failure: errors.ServiceError,
) -> None:
    runs = FakeRuns()
    runs.refusal = failure
    async with serving(runs=runs) as address, AsyncClient(address) as client:
        with pytest.raises(type(failure)) as refused:
            await client.runs.start(PIPELINE)
    found = refused.value
    assert (str(found), found.reason, found.metadata) == (
        str(failure),
        failure.reason,
        failure.metadata,
    )
    for extra in ("violations", "retry_after"):
        assert getattr(found, extra, None) == getattr(failure, extra, None)


async def test_the_blocking_client_does_what_the_other_does() -> None:
    def story(address: str) -> list[RunState]:
        with Client(address, "key") as client:
            run = client.runs.start_and_wait(PIPELINE)
            states = [one.run.state for one in client.runs.watch(run.name)]
            with pytest.raises(errors.NotFound):
                client.runs.get("tenants/widgetsinc/pipelines/p/runs/r1")
            return states

    async with serving(runs=FakeRuns(*STATES)) as address:
        assert await asyncio.to_thread(story, address) == list(STATES)
