"""`convergence schedules`: what it asks, what it shows, how it is refused."""

from typing import Any

from libs.client import AsyncClient
from tests.integration.client.commands import KEY, Command, against
from tests.support.fake_edge import serving
from tests.support.fake_schedules import FakeSchedules

NAME = "tenants/acme_corp/pipelines/p_daily/schedule"


async def test_a_schedule_is_shown_with_what_it_will_do_and_did(command: Command) -> None:
    said = await against(command, "schedules", "get", "p_daily", schedules=FakeSchedules())
    assert said.status == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "cron 0 6 * * * (Europe/Berlin)" in lines
    assert "state active" in lines
    assert "catch up 7d" in lines
    assert "jitter 90s" in lines
    assert "after tenants/acme_corp/pipelines/p_up" in lines
    assert "waits at most 12h" in lines
    assert "2026-11-26 05:00:00Z 2026-11-26 05:01:30Z 2026-11-19 … 2026-11-25" in lines
    assert "2026-11-25 05:00:00Z overlap" in lines
    run = "tenants/acme_corp/pipelines/p_daily/runs/s1"
    assert f"2026-11-24 05:00:00Z started, SUCCEEDED {run} 2026-11-24 05:01:31Z" in lines
    several = "3 from 2026-11-21 05:00:00Z to 2026-11-23 05:00:00Z"
    assert f"{several} skipped (same window) 2026-11-24 05:01:31Z" in lines
    assert "2026-11-20 05:00:00Z refused: too large 2026-11-24 05:01:31Z" in lines


async def test_schedules_are_listed(command: Command) -> None:
    fakes = FakeSchedules()
    said = await against(command, "schedules", "list", schedules=fakes)
    (row,) = said.out.splitlines()[1:]
    assert row.split("  ")[0] == "p_daily"
    assert "2026-11-26 05:01:30Z" in row
    assert row.rstrip().endswith("started, SUCCEEDED")
    assert fakes.requests[0].parent == "tenants/acme_corp"
    listed = await against(command, "schedules", "list", "--output", "json", schedules=fakes)
    assert [one["name"] for one in listed.json] == [NAME]


async def test_a_pause_says_who_and_why_and_is_taken_back(command: Command) -> None:
    fakes = FakeSchedules()
    pause = ("schedules", "pause", NAME, "--reason", "the source is down")
    said = await against(command, *pause, schedules=fakes)
    assert "by k_1: the source is down" in said.out
    assert (fakes.requests[0].name, fakes.requests[0].reason) == (NAME, "the source is down")
    said = await against(command, "schedules", "resume", "p_daily", schedules=fakes)
    assert "paused" not in said.out


async def test_a_pause_without_a_reason_asks_nobody(command: Command) -> None:
    said = await against(command, "schedules", "pause", "p_daily")
    assert said.status == 2
    assert "--reason" in said.err


async def test_a_schedule_that_is_not_there_says_what_to_do(command: Command) -> None:
    said = await against(
        command, "schedules", "get", "p_gone", "--output", "json", schedules=FakeSchedules()
    )
    assert said.status == 2
    assert said.error["reason"] == "SCHEDULE_NOT_FOUND"
    assert "schedules list" in said.error["advice"]


async def test_the_client_asks_the_same() -> None:
    fakes: Any = FakeSchedules()
    async with serving(schedules=fakes) as address, AsyncClient(address, KEY) as client:
        assert (await client.schedules.get(NAME)).cron == "0 6 * * *"
        assert [one.name for one in await client.schedules.list("tenants/acme_corp")] == [NAME]
        assert (await client.schedules.pause(NAME, reason="why")).pause.reason == "why"
        assert not (await client.schedules.resume(NAME)).HasField("pause")
