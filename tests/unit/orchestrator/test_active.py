"""Whether calls find the active orchestrator, or hear why there is none."""

import asyncio
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

import pytest

from libs.common.errors import FailedPrecondition, ServiceError, Unavailable
from services.orchestrator import active as active_module
from services.orchestrator.active import STEP_DOWN_SECONDS, Active, NotActive, Seat, lead
from services.orchestrator.elections.elections import LeaseLost, Term
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import JournalSealed, MemoryJournal, MemoryJournals
from services.orchestrator.journal.rows import JournalUnreadable
from services.orchestrator.retries.pauses import Pauses
from services.orchestrator.runs import records as r

MISSING = FailedPrecondition("run admin init", reason="NOT_INITIALIZED")


async def test_what_was_not_initialised_before_the_call_is_looked_at_anew() -> None:
    seat = Seat()
    await seat.refuse(MISSING)
    call = asyncio.create_task(seat.soon())
    await asyncio.sleep(0)
    await seat.refuse(MISSING)
    assert not call.done()
    active = cast("Active", object())
    await seat.take(active)
    assert await call is active


async def test_a_refusal_that_is_given_often_does_not_grow() -> None:
    seat, error = Seat(), FailedPrecondition("run admin init", reason="NOT_INITIALIZED")
    await seat.refuse(error)
    for _ in range(50):
        with pytest.raises(FailedPrecondition):
            seat.active()
    assert len(list(traceback.walk_tb(error.__traceback__))) < 10


async def test_what_is_still_not_initialised_is_said_after_a_look_that_began_later() -> None:
    seat = Seat()
    await seat.refuse(MISSING)
    call = asyncio.create_task(seat.soon())
    await asyncio.sleep(0)
    for _ in range(2):
        await seat.refuse(MISSING)
    with pytest.raises(FailedPrecondition, match="run admin init"):
        await call


async def test_other_refusals_are_said_at_once() -> None:
    seat = Seat()
    with pytest.raises(NotActive):
        await seat.soon()
    await seat.refuse(Unavailable("BigQuery is away", reason="WAREHOUSE_UNAVAILABLE"))
    with pytest.raises(Unavailable, match="away"):
        await seat.soon()


class Chair:
    """An election that everybody wins at once; notes what happens to it."""

    def __init__(self, noted: list[str]) -> None:
        self._noted = noted
        self._epoch = 0

    async def win(self) -> Term:
        self._epoch += 1
        self._noted.append(f"won {self._epoch}")
        return Term(epoch=self._epoch)

    async def announce(self, stream: str, epoch: int = 0) -> None:
        self._noted.append(f"announced {stream} of {epoch}")

    async def lost(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        self._noted.append("closed")


class Led(Exception):
    """The journal was read."""


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ORPHAN = r.Record(
    event_id="e1",
    position=1,
    epoch=9,
    run="tenants/acme_corp/pipelines/p_bill/runs/r1",
    time=NOON,
    detail=r.RunIngested(),
)
"""A record of a run that no record began: a newer version may know what it means."""


async def test_who_cannot_follow_the_journal_lets_others_lead_says_why_and_looks_again() -> None:
    journals, noted, seat = MemoryJournals(records=[ORPHAN]), list[str](), Seat()

    async def sleep(seconds: float) -> None:
        noted.append(f"slept {seconds:g}")
        with pytest.raises(JournalUnreadable, match="record e1 of the journal") as refused:
            await seat.soon()
        assert (refused.value.metadata["position"], refused.value.metadata["epoch"]) == ("1", "9")
        journals.records.clear()

    def open_active(history: History) -> Active:
        assert history.ledger.runs == {}
        raise Led

    def open_history(epoch: int) -> History:
        return History(journals.member(), epoch=epoch, clock=lambda: NOON, new_id=lambda: "x")

    def also(_: Active) -> list[asyncio.Task[None]]:
        return []

    with pytest.raises(Led):
        await lead(
            seat,
            Chair(noted),
            journals.member(),
            open_history,
            open_active,
            also,
            Pauses(sleep=sleep),
        )
    assert noted == [
        "won 1", "announced epoch-1 of 10", "closed", f"slept {STEP_DOWN_SECONDS:g}",
        "won 2", "announced epoch-2 of 2",
    ]  # fmt: skip


class Shaky:
    """An election that fails as it is told to before it is won, and is lost when a test says so."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.stands = asyncio.Event()
        self.wins = asyncio.Event()
        self.loses = asyncio.Event()
        self.closed = False

    async def win(self) -> Term:
        if self.failures:
            raise self.failures.pop(0)
        self.stands.set()
        await self.wins.wait()
        return Term(epoch=1)

    async def announce(self, stream: str, epoch: int = 0) -> None:
        assert not self.loses.is_set()

    async def lost(self) -> None:
        await self.loses.wait()
        raise LeaseLost("the lease could not be renewed")

    async def close(self) -> None:
        self.closed = True


class Idle:
    """What an active orchestrator consists of, as far as leading goes: nothing ends by itself."""

    def __init__(self) -> None:
        self.closed = False
        self.histories: list[History] = []

    def over(self, history: History) -> Active:
        self.histories.append(history)
        return cast("Active", self)

    def __getattr__(self, name: str) -> "Idle":
        return self

    def resume(self) -> None: ...

    def recover(self) -> None: ...

    async def watch(self) -> None:
        await asyncio.get_running_loop().create_future()

    follow = watch

    async def close(self) -> None:
        self.closed = True


def leading(
    seat: Seat, election: Shaky, idle: Idle, *, journal: MemoryJournal | None = None
) -> "asyncio.Task[None]":
    journals = MemoryJournals()
    member = journal or journals.member()

    def open_history(epoch: int) -> History:
        return History(member, epoch=epoch, clock=lambda: NOON, new_id=lambda: "x")

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    return asyncio.create_task(
        lead(
            seat, election, member, open_history,
            idle.over, lambda _: [], Pauses(sleep=sleep),
        )
    )  # fmt: skip


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.001)


def said(seat: Seat) -> str:
    try:
        seat.active()
    except ServiceError as error:
        return error.reason
    return ""


async def test_a_leader_that_lost_its_lease_ends_and_stops_its_runs() -> None:
    seat, election, idle = Seat(), Shaky(), Idle()
    election.wins.set()
    led = leading(seat, election, idle)
    await until(lambda: said(seat) == "")
    assert not led.done()
    election.loses.set()
    with pytest.raises(LeaseLost):
        await led
    assert idle.closed


async def test_who_waits_for_a_leader_that_a_successor_has_sealed_hears_at_once_that_it_leads_no_more() -> (
    None
):
    seat, election, idle, journals = Seat(), Shaky(), Idle(), MemoryJournals()
    election.wins.set()
    member = journals.member()
    journals.gate = asyncio.Event()
    led = leading(seat, election, idle, journal=member)
    await until(lambda: said(seat) == "")
    (history,) = idle.histories
    before = asyncio.create_task(history.settled(1))
    await asyncio.sleep(0)
    journals.sealed.add(member.stream)
    journals.gate.set()
    with pytest.raises(JournalSealed):
        await led
    for asked in (before, history.settled(1)):
        with pytest.raises(NotActive, match="may not be durable; call again"):
            async with asyncio.timeout(1):
                await asked


class Stuck(MemoryJournal):
    """A journal whose opening never ends."""

    async def open(self, term: Term) -> tuple[list[r.Record], str]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError


async def test_who_loses_the_lease_while_it_opens_the_journal_ends() -> None:
    seat, election = Seat(), Shaky()
    election.wins.set()
    led = leading(seat, election, Idle(), journal=Stuck())
    await until(election.wins.is_set)
    election.loses.set()
    with pytest.raises(LeaseLost):
        await led
    assert said(seat) == "NOT_ACTIVE"


async def test_what_keeps_a_candidate_from_standing_is_said_until_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(active_module, "PATIENCE_SECONDS", 0.1)
    lasting = FailedPrecondition("there is none", reason="LEASE_UNUSABLE")
    seat, election, idle = Seat(), Shaky(lasting, Unavailable("away", reason="AWAY")), Idle()
    heard = list[str]()

    async def listen() -> None:
        while True:
            if (reason := said(seat)) not in heard[-1:]:
                heard.append(reason)
            await asyncio.sleep(0)

    listening = asyncio.create_task(listen())
    led = leading(seat, election, idle)
    await until(lambda: said(seat) == "NOT_ACTIVE" and election.stands.is_set())
    election.wins.set()
    await until(lambda: said(seat) == "")
    assert heard == ["NOT_ACTIVE", "LEASE_UNUSABLE", "AWAY", "NOT_ACTIVE", ""]
    for task in (listening, led):
        task.cancel()
    await asyncio.gather(listening, led, return_exceptions=True)
