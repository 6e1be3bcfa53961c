"""Whether calls find the active orchestrator, or hear why there is none."""

import asyncio
import traceback
from datetime import UTC, datetime
from typing import cast

import pytest

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.active import STEP_DOWN_SECONDS, Active, NotActive, Seat, lead
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournals
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
