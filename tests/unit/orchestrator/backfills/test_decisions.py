"""What a backfill does next, in any story of runs that end, fail, are held, retried and steered."""

import dataclasses
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.names import BackfillName
from services.orchestrator.backfills.backfill import Backfills, BackfillState
from services.orchestrator.backfills.decisions import PLATFORM, Decision, Window, decide, window_of
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import folded
from services.orchestrator.runs.states import LIVE, RESTING, RunState
from tests.unit.orchestrator.conductor.world import NOON, spec

NAME = BackfillName("acme_corp", "p_daily", "b1")
RUN = str(NAME.parent.run("r1"))
ENDS = sorted(RESTING)


def days_of(count: int) -> tuple[date, ...]:
    return tuple(date(2026, 11, 1) + timedelta(days=n) for n in range(count))


@dataclasses.dataclass(slots=True)
class Played:
    """A backfill whose decisions are carried out at once, and what became of its windows."""

    count: int
    max_parallel: int = 2
    max_failures: int = 3
    backfills: Backfills = dataclasses.field(default_factory=Backfills)
    windows: dict[date, Window] = dataclasses.field(default_factory=dict)
    started: list[date] = dataclasses.field(default_factory=list)
    busy: set[date] = dataclasses.field(default_factory=set)
    room: int = 20
    position: int = 0

    def __post_init__(self) -> None:
        created = r.BackfillCreated(
            backfill=str(NAME),
            spec="{}",
            spec_hash="0",
            request_id="q1",
            start=days_of(1)[0],
            end=days_of(self.count + 1)[-1],
            newest_first=False,
            days=days_of(self.count),
            max_parallel=self.max_parallel,
            max_failures=self.max_failures,
        )
        self.add(created)

    @property
    def state(self) -> BackfillState:
        return self.backfills.by_name[NAME].state

    @property
    def live(self) -> list[date]:
        return [day for day, window in self.windows.items() if window.state in LIVE]

    def add(self, detail: r.BackfillDetail) -> None:
        self.position += 1
        record = r.Record(
            event_id="e", position=self.position, epoch=1, run="", time=NOON, detail=detail
        )
        self.backfills.add(record)

    def move(self, day: date, state: RunState, *, by_platform: bool = False) -> None:
        self.position += 1
        self.windows[day] = Window(state=state, position=self.position, by_platform=by_platform)

    def next(self) -> Decision:
        backfill = self.backfills.by_name[NAME]
        return decide(backfill, self.windows, room=self.room - len(self.live), busy=self.busy)

    def settle(self) -> None:
        """Carry out what follows until nothing does."""
        while (decision := self.next()) != Decision():
            assert not set(decision.start) & set(self.windows), "a window has one run"
            for day in decision.start:
                self.move(day, RunState.PENDING)
                self.started.append(day)
            for day in decision.cancel:
                self.move(day, RunState.CANCELLING)
            if decision.pause:
                self.add(r.BackfillPaused(backfill=str(NAME), by="platform", reason=decision.pause))
            if decision.finish:
                self.add(r.BackfillFinished(backfill=str(NAME)))


def test_as_many_are_started_as_have_places_in_order() -> None:
    played = Played(5, max_parallel=3)
    assert played.next() == Decision(start=days_of(3))
    played.settle()
    played.move(days_of(2)[1], RunState.SUCCEEDED)
    assert played.next() == Decision(start=days_of(4)[3:])


def test_a_held_run_takes_no_place_and_does_not_keep_it_from_ending() -> None:
    played = Played(2, max_parallel=1)
    played.settle()
    played.move(days_of(1)[0], RunState.HELD)
    assert played.next().start == days_of(2)[1:]
    played.settle()
    played.move(days_of(2)[1], RunState.SUCCEEDED)
    assert played.next() == Decision(finish=True)


def test_a_window_that_a_live_run_reads_is_left_for_later() -> None:
    played = Played(4, max_parallel=2)
    played.busy = {days_of(1)[0]}
    assert played.next().start == days_of(3)[1:]
    played.settle()
    for day in days_of(4)[1:3]:
        played.move(day, RunState.SUCCEEDED)
    assert played.next().start == days_of(4)[3:]
    played.busy = set()
    assert played.next().start == (days_of(1)[0], days_of(4)[3])


@pytest.mark.parametrize("room", [-3, 0, 1])
def test_a_tenant_without_room_waits(room: int) -> None:
    played = Played(4)
    played.room = room
    assert played.next().start == days_of(max(room, 0))


@pytest.mark.parametrize("failed", [True, False])
def test_a_run_that_the_platform_cancels_counts_unless_it_had_failed_before(failed: bool) -> None:
    failure = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="ask")
    details: list[r.Detail] = [
        r.RunCreated(
            spec=spec().canonical(), spec_hash="", request_id="", request_digest="", created_by="k"
        ),
        r.RunFailed(failure=failure) if failed else r.RunCancelling(by=PLATFORM, reason=""),
        r.RunCancelled(by=PLATFORM, reason=""),
    ]
    (run,) = folded(
        r.Record(event_id="e", position=n, epoch=1, run=RUN, time=NOON, detail=detail)
        for n, detail in enumerate(details)
    ).values()
    assert window_of(run).failing is not failed


def test_so_many_failures_pause_it_and_resuming_counts_anew() -> None:
    played = Played(9, max_parallel=3, max_failures=2)
    played.settle()
    played.move(days_of(1)[0], RunState.FAILED)
    played.settle()
    assert played.state == "RUNNING"
    played.move(days_of(2)[1], RunState.TRANSFORM_FAILED)
    assert played.next().pause.startswith("2 of its runs failed")
    played.settle()
    assert played.state == "PAUSED"
    assert len(played.started) == 4
    played.add(r.BackfillResumed(backfill=str(NAME), by="key1"))
    assert len(played.next().start) == 1
    played.settle()
    played.move(days_of(1)[0], RunState.FAILED)
    played.move(days_of(3)[2], RunState.FAILED)
    assert played.next().pause


def test_a_run_that_the_platform_cancels_failed_and_one_that_a_person_cancels_did_not() -> None:
    played = Played(9, max_parallel=3, max_failures=1)
    played.settle()
    played.move(days_of(1)[0], RunState.CANCELLED)
    assert not played.next().pause
    played.move(days_of(2)[1], RunState.CANCELLED, by_platform=True)
    assert played.next().pause


def test_a_cancelled_one_cancels_what_can_be_and_ends_when_nothing_moves() -> None:
    played = Played(9, max_parallel=4)
    played.settle()
    first, second, third, fourth = played.started
    played.move(first, RunState.PUBLISHING)
    played.move(second, RunState.HELD)
    played.move(third, RunState.FAILED)
    played.add(r.BackfillCancelled(backfill=str(NAME), by="key1"))
    assert played.next() == Decision(cancel=(fourth,))
    played.settle()
    played.move(fourth, RunState.CANCELLED)
    assert played.next() == Decision()
    played.move(first, RunState.SUCCEEDED)
    assert played.next() == Decision(finish=True)
    played.settle()
    assert played.state is BackfillState.CANCELLED
    assert {played.windows[second].state, played.windows[third].state} == {"HELD", "FAILED"}
    assert len(played.started) == 4


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, 9), st.sampled_from(sorted(RunState))),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(ENDS)),
        st.sampled_from(["pause", "resume", "cancel"]).map(lambda what: (what, 0, "")),
        st.tuples(st.just("busy"), st.integers(0, 9), st.just("")),
        st.tuples(st.just("room"), st.integers(0, 4), st.just("")),
    ),
    max_size=30,
)


@given(
    count=st.integers(1, 8),
    max_parallel=st.integers(1, 4),
    max_failures=st.integers(1, 4),
    steps=STEPS,
)
def test_in_any_story_it_keeps_its_bounds_and_ends(
    count: int, max_parallel: int, max_failures: int, steps: list[tuple[str, int, str]]
) -> None:
    played = Played(count, max_parallel=max_parallel, max_failures=max_failures)
    for what, number, state in steps:
        _step(played, what, number, state)
        live, begun = len(played.live), len(played.started)
        could = _could_start(played)
        played.settle()
        new = played.started[begun:]
        assert len(set(played.started)) == len(played.started)
        assert live + len(new) <= max(live, min(max_parallel, played.room))
        assert new == could, "no place stays free, and none is taken that is not"
    _end(played)
    assert played.state in {BackfillState.FINISHED, BackfillState.CANCELLED}
    if played.state is BackfillState.FINISHED:
        assert sorted(played.started) == list(days_of(count))


def _could_start(played: Played) -> list[date]:
    """What a plain reader of the promise starts now."""
    if played.state is not BackfillState.RUNNING:
        return []
    since = played.backfills.by_name[NAME].forgiven
    bad = {RunState.FAILED, RunState.TRANSFORM_FAILED}
    failed = [w for w in played.windows.values() if w.state in bad and w.position > since]
    if len(failed) >= played.max_failures:
        return []
    could: list[date] = []
    for day in days_of(played.count):
        places = min(played.max_parallel, played.room) - len(played.live) - len(could)
        if places > 0 and day not in played.windows and day not in played.busy:
            could.append(day)
    return could


def _step(played: Played, what: str, number: int, state: str) -> None:
    steer: dict[str, tuple[set[str], r.BackfillDetail]] = {
        "pause": ({"RUNNING"}, r.BackfillPaused(backfill=str(NAME), by="key1")),
        "resume": ({"PAUSED"}, r.BackfillResumed(backfill=str(NAME), by="key1")),
        "cancel": ({"RUNNING", "PAUSED"}, r.BackfillCancelled(backfill=str(NAME), by="key1")),
    }
    if what in steer and played.state in steer[what][0]:
        played.add(steer[what][1])
    elif what == "room":
        played.room = number
    elif what == "busy":
        played.busy ^= {days_of(10)[number]}
    elif what in {"move", "end"} and played.windows:
        played.move(sorted(played.windows)[number % len(played.windows)], RunState(state))


def _end(played: Played) -> None:
    """Let everything go well from here on."""
    played.busy, played.room = set(), 20
    for _ in range(4 * played.count):
        if played.state is BackfillState.PAUSED:
            played.add(r.BackfillResumed(backfill=str(NAME), by="key1"))
        for day in played.live:
            played.move(day, RunState.SUCCEEDED)
        played.settle()
