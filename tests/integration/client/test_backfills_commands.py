"""`convergence backfills` against an edge in this process: what it asks, prints, and exits with."""

import pytest
from convergence.orchestrator.v1.backfill_pb2 import (
    Backfill,
    BackfillOrder,
    BackfillReceipt,
    BackfillTrouble,
)
from convergence.orchestrator.v1.run_pb2 import Money, RunState

from libs.client import AsyncClient
from libs.common import errors
from tests.integration.client.commands import KEY, Command, Said, against
from tests.support.fake_backfills import FakeBackfills, backfill
from tests.support.fake_edge import serving

NAME = backfill().name
SHORT = "p_openai_daily/b1"


async def run(command: Command, fake: FakeBackfills, *arguments: str) -> Said:
    return await against(command, "backfills", *arguments, also=[fake.add_to])


async def test_starting_one_asks_for_the_range_and_says_how_to_follow_it(command: Command) -> None:
    fake = FakeBackfills()
    given = ("--max-parallel", "2", "--oldest-first", "--max-failures", "3", "--reason", "new")
    dates = ("--from", "2026-11-01", "--until", "2026-11-11")
    said = await run(command, fake, "start", "p_openai_daily", *dates, *given)
    assert (said.status, said.out) == (0, f"{NAME} is RUNNING\n")
    assert said.err == f"follow it: convergence backfills watch {SHORT}\n"
    (asked,) = fake.requests
    assert asked.parent == "tenants/acme_corp/pipelines/p_openai_daily"
    assert (asked.start_date, asked.end_date) == ("2026-11-01", "2026-11-11")
    assert (asked.max_parallel, asked.max_failures, asked.reason) == (2, 3, "new")
    assert asked.order == BackfillOrder.BACKFILL_ORDER_OLDEST_FIRST
    assert not asked.reload


async def test_a_service_that_is_away_is_told_with_the_id_to_repeat_it_by(command: Command) -> None:
    fake = FakeBackfills()
    gone = errors.Unavailable("BigQuery does not answer", reason="WAREHOUSE_UNAVAILABLE")
    fake.failures = [gone] * 100
    dates = ("--from", "2026-11-01", "--until", "2026-11-11")
    said = await run(command, fake, "start", "p_openai_daily", *dates)
    assert said.status == 4
    (request_id,) = fake.known
    assert f"repeat it with --request-id {request_id}, which starts no second" in said.err


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (backfill(), 0),
        (backfill(superseded_count=2), 0),
        (backfill(failed_count=1), 1),
        (backfill(held_count=1), 1),
        (backfill("CANCELLED", cancelled_count=1, waiting_count=3), 1),
        (backfill("PAUSED", waiting_count=3), 1),
    ],
)
async def test_watching_ends_when_nothing_moves_and_exits_0_where_all_is_published(
    command: Command, last: Backfill, status: int
) -> None:
    said = await run(command, FakeBackfills(last), "watch", SHORT, "--output", "json")
    assert said.status == status
    assert said.json["name"] == NAME
    assert said.err == ""


async def test_a_paused_one_is_waited_for_while_its_runs_are_live() -> None:
    fake = FakeBackfills(
        backfill("RUNNING", waiting_count=5, running_count=2),
        backfill("PAUSED", waiting_count=5, running_count=1),
        backfill("PAUSED", waiting_count=5, running_count=1),
        backfill("PAUSED", waiting_count=5),
    )
    seen: list[int] = []
    async with serving(also=[fake.add_to]) as address, AsyncClient(address, KEY) as client:
        done = await client.backfills.wait(
            NAME, on_change=lambda b: seen.append(b.progress.running_count), poll_seconds=0
        )
    assert done == backfill("PAUSED", waiting_count=5)
    assert seen == [2, 1, 0]


@pytest.mark.parametrize(("patience", "heard"), [(60.0, True), (0.0, False)])
async def test_a_service_that_is_away_is_waited_for_so_long(patience: float, heard: bool) -> None:
    fake = FakeBackfills()
    away = errors.Unavailable("no orchestrator leads", reason="NOT_ACTIVE")
    async with (
        serving(also=[fake.add_to]) as address,
        AsyncClient(address, KEY, call_seconds=0.2) as client,
    ):
        await client.backfills.get(NAME)
        fake.failures = [away] * 20
        waiting = client.backfills.wait(NAME, poll_seconds=0, patience=patience)
        if heard:
            assert (await waiting).name == NAME
        else:
            with pytest.raises(errors.Unavailable):
                await waiting


async def test_get_shows_counts_money_and_what_somebody_has_to_look_at(command: Command) -> None:
    found = backfill("PAUSED", running_count=1, held_count=1, failed_count=2, waiting_count=3)
    found.paused_by, found.pause_reason = "platform", "2 of its runs failed"
    money = [Money(column="cost", read="7.50", landed="6.500000", quarantined="1")]
    found.receipt.CopyFrom(
        BackfillReceipt(
            read_row_count=1004, landed_row_count=1000, quarantined_row_count=4, money=money
        )
    )
    run_name = "tenants/acme_corp/pipelines/p_openai_daily/runs/r7"
    found.troubles.append(
        BackfillTrouble(
            date="2026-11-03",
            run=run_name,
            run_state=RunState.RUN_STATE_FAILED,
            cause="the source answered 401",
        )
    )
    said = await run(command, FakeBackfills(found), "get", SHORT)
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"backfill  {NAME}",
        "state     PAUSED",
        "range     2026-11-01 until 2026-11-11, newest first",
        "windows   3 of 10 published, 1 running, 1 held, 2 failed, 3 waiting",
        "at once   4",
        "paused    by platform: 2 of its runs failed",
        "created    by key1",
        "rows      1,000 published of 1,004 read, 4 in quarantine",
        "money     cost: 6.5",
        f"next      convergence backfills resume {NAME}",
        "",
        "window      state   run" + " " * (len(run_name) - 1) + "why",
        f"2026-11-03  FAILED  {run_name}  the source answered 401",
    ]


async def test_the_list_has_one_line_each(command: Command) -> None:
    fake = FakeBackfills(backfill(), backfill("RUNNING", running_count=2, waiting_count=1))
    said = await run(command, fake, "list", "--pipeline", "p_openai_daily")
    assert said.out.splitlines() == [
        "backfill           state     range                        windows                                  created",
        f"{SHORT}  FINISHED  2026-11-01 until 2026-11-11  10 of 10 published",
        f"{SHORT}  RUNNING   2026-11-01 until 2026-11-11  7 of 10 published, 2 running, 1 waiting",
    ]
    assert fake.requests[0].parent == "tenants/acme_corp/pipelines/p_openai_daily"


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        (("pause", SHORT, "--reason", "slow"), "PAUSED"),
        (("resume", SHORT), "RUNNING"),
        (("cancel", NAME, "--reason", "slow"), "CANCELLING"),
    ],
)
async def test_steering_says_what_it_is_now(
    command: Command, arguments: tuple[str, ...], state: str
) -> None:
    fake = FakeBackfills()
    said = await run(command, fake, *arguments)
    assert (said.status, said.out) == (0, f"{NAME} is {state}\n")
    assert fake.requests[0].name == NAME
    assert getattr(fake.requests[0], "reason", "slow") == "slow"


async def test_what_is_refused_says_what_to_do(command: Command) -> None:
    fake = FakeBackfills()
    fake.failures = [
        errors.FailedPrecondition("is FINISHED", reason="BACKFILL_STATE_MISMATCH", name=NAME)
    ]
    said = await run(command, fake, "resume", SHORT, "--output", "json")
    assert said.status == 3
    assert said.error["reason"] == "BACKFILL_STATE_MISMATCH"
    assert "convergence backfills get" in said.error["advice"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("start", "p", "--from", "2026-11-1", "--until", "2026-11-11"), "2026-11-1"),
        (("get", "b1"), "allowed is PIPELINE/BACKFILL or"),
        (("start", "p", "--from", "2026-11-01"), "--until"),
    ],
)
async def test_wrong_arguments_are_refused_before_anybody_is_asked(
    command: Command, arguments: tuple[str, ...], found: str
) -> None:
    fake = FakeBackfills()
    said = await run(command, fake, *arguments)
    assert said.status == 2
    assert found in said.err
    assert fake.requests == []
