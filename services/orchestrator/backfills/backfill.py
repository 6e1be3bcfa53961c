"""Backfills as their records tell them, and which window of each has which run: a fold, no I/O."""

import dataclasses
import enum
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, Self

from libs.common.errors import FailedPrecondition
from libs.common.names import BackfillName, PipelineName, RunName
from services.orchestrator.runs import records as r


class BackfillState(enum.StrEnum):
    """State of a backfill, named as in `convergence.orchestrator.v1.BackfillState`."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    FINISHED = "FINISHED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


NEXT: Final[dict[BackfillState, frozenset[BackfillState]]] = {
    BackfillState.RUNNING: frozenset(
        {BackfillState.PAUSED, BackfillState.CANCELLING, BackfillState.FINISHED}
    ),
    BackfillState.PAUSED: frozenset(
        {BackfillState.RUNNING, BackfillState.CANCELLING, BackfillState.FINISHED}
    ),
    BackfillState.CANCELLING: frozenset({BackfillState.CANCELLED}),
    BackfillState.FINISHED: frozenset(),
    BackfillState.CANCELLED: frozenset(),
}
"""Allowed moves. A state with no next state is final."""

FINAL: Final = frozenset(state for state, following in NEXT.items() if not following)


class BackfillStateMismatch(FailedPrecondition):
    """The backfill's state does not allow what was asked."""

    reason = "BACKFILL_STATE_MISMATCH"

    def __init__(self, name: str, state: BackfillState, allowed: frozenset[BackfillState]) -> None:
        states = ", ".join(sorted(allowed)) or "no state"
        super().__init__(
            f"backfill {name} is {state}; the call needs one of: {states}",
            name=name,
            state=state,
            allowed=states,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """State of a backfill after the record at `position`."""

    name: BackfillName
    created: r.BackfillCreated
    state: BackfillState
    begun: int
    """Position of its first record."""
    position: int
    forgiven: int
    """Position at which it was created or resumed last: what failed before is not counted."""
    create_time: datetime
    update_time: datetime
    paused: r.BackfillPaused | None = None
    cancelled: r.BackfillCancelled | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def end_time(self) -> datetime | None:
        return self.update_time if self.final else None

    def require(self, allowed: frozenset[BackfillState]) -> Self:
        """Return this backfill if its state is one of `allowed`; raise BackfillStateMismatch if not."""
        if self.state not in allowed:
            raise BackfillStateMismatch(str(self.name), self.state, allowed)
        return self


KEPT: Final = 20
"""Ended backfills of a pipeline that are known whatever their age, those that ended last."""

KEPT_FOR: Final = timedelta(days=2)
"""How long any other is known after its end: as long as a run's request id is."""


@dataclasses.dataclass(slots=True)
class Backfills:
    """The backfills that are not ended, and those that ended last, after all records applied in order."""

    by_name: dict[BackfillName, Backfill] = dataclasses.field(default_factory=dict)
    requests: dict[tuple[str, str], BackfillName] = dataclasses.field(default_factory=dict)
    """Backfills by (tenant, request id)."""
    _runs: dict[BackfillName, dict[date, RunName]] = dataclasses.field(default_factory=dict)
    _open: dict[PipelineName, BackfillName] = dataclasses.field(default_factory=dict)

    def add(self, record: r.Record) -> None:
        """Apply a record; those that are about no backfill, and about no run of one, change nothing.

        Raises:
            BackfillStateMismatch: the record moves it to a state that NEXT forbids; nothing changed.
        """
        detail = record.detail
        if isinstance(detail, r.BackfillDetail):
            self._move(record, detail)
        elif isinstance(detail, r.RunCreated) and detail.of_backfill:
            self.begin(RunName.parse(record.run), detail.of_backfill)

    def _move(self, record: r.Record, detail: r.BackfillDetail) -> None:
        name = BackfillName.parse(detail.backfill)
        if isinstance(detail, r.BackfillCreated):
            after = _created(name, record, detail)
            self.requests[name.tenant, detail.request_id] = name
            self._open[name.parent] = name
        else:
            after = _MOVES[type(detail)](self.by_name[name], record, detail)
            after = dataclasses.replace(after, position=record.position, update_time=record.time)
        self.by_name[name] = after
        if after.final:
            self._open.pop(name.parent, None)
            self._forget(name.parent, record.time - KEPT_FOR)

    def _forget(self, pipeline: PipelineName, ended_before: datetime) -> None:
        """Forget backfills of a pipeline that ended long ago, but for the newest."""
        ended = [x for x in self.by_name.values() if x.final and x.name.parent == pipeline]
        ended.sort(key=lambda one: one.position)
        for one in ended[:-KEPT]:
            if one.update_time < ended_before:
                del self.by_name[one.name]
                del self.requests[one.name.tenant, one.created.request_id]
                self._runs.pop(one.name, None)

    def begin(self, run: RunName, of: r.OfBackfill) -> None:
        """Note that a window has its run from here on."""
        self._runs.setdefault(BackfillName.parse(of.backfill), {})[of.day] = run

    def open(self) -> Iterator[Backfill]:
        """Yield those that are not ended."""
        return (self.by_name[name] for name in self._open.values())

    def open_of(self, pipeline: PipelineName) -> Backfill | None:
        """Return the one backfill of a pipeline that is not ended."""
        name = self._open.get(pipeline)
        return self.by_name[name] if name else None

    def runs(self, name: BackfillName) -> Mapping[date, RunName]:
        """Return the run of each window that has one, by the window's first day."""
        return self._runs.get(name, {})

    def snapshot(self) -> Iterator[str]:
        """Yield the state as JSON texts: each backfill, then the runs of each that has some."""
        for one in self.by_name.values():
            yield _text(["backfills", _plain(one)])
        for name, runs in self._runs.items():
            days = {day.isoformat(): run.run for day, run in runs.items()}
            yield _text(["runs", [str(name), days]])

    def restore(self, items: Iterable[str]) -> None:
        """Be what `snapshot` said."""
        self.by_name, self.requests, self._runs, self._open = {}, {}, {}, {}
        for kind, said in map(json.loads, items):
            if kind == "runs":
                name = BackfillName.parse(said[0])
                days = {date.fromisoformat(day): run for day, run in said[1].items()}
                self._runs[name] = {day: name.parent.run(run) for day, run in days.items()}
                continue
            one = _of_plain(said)
            self.by_name[one.name] = one
            self.requests[one.name.tenant, one.created.request_id] = one.name
            if not one.final:
                self._open[one.name.parent] = one.name


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _created(name: BackfillName, record: r.Record, detail: r.BackfillCreated) -> Backfill:
    return Backfill(
        name=name,
        created=detail,
        state=BackfillState.RUNNING,
        begun=record.position,
        position=record.position,
        forgiven=record.position,
        create_time=record.time,
        update_time=record.time,
    )


def _to(backfill: Backfill, target: BackfillState, **changes: object) -> Backfill:
    if target not in NEXT[backfill.state]:
        allowed = frozenset(state for state, following in NEXT.items() if target in following)
        backfill.require(allowed)
    return dataclasses.replace(backfill, state=target, **changes)  # type: ignore[arg-type]


def _resumed(backfill: Backfill, record: r.Record, _: r.Part) -> Backfill:
    return _to(backfill, BackfillState.RUNNING, paused=None, forgiven=record.position)


def _finished(backfill: Backfill, _: r.Record, __: r.Part) -> Backfill:
    cancelling = backfill.state is BackfillState.CANCELLING
    return _to(backfill, BackfillState.CANCELLED if cancelling else BackfillState.FINISHED)


_MOVES: Final[dict[type[r.Part], Callable[[Backfill, r.Record, r.Part], Backfill]]] = {
    r.BackfillPaused: lambda b, _, d: _to(b, BackfillState.PAUSED, paused=d),
    r.BackfillResumed: _resumed,
    r.BackfillCancelled: lambda b, _, d: _to(b, BackfillState.CANCELLING, cancelled=d),
    r.BackfillFinished: _finished,
}


def _plain(one: Backfill) -> dict[str, Any]:
    return {
        "created": one.created.model_dump(mode="json"),
        "state": one.state.value,
        "begun": one.begun,
        "position": one.position,
        "forgiven": one.forgiven,
        "create_time": one.create_time.isoformat(),
        "update_time": one.update_time.isoformat(),
        "paused": one.paused.model_dump(mode="json") if one.paused else None,
        "cancelled": one.cancelled.model_dump(mode="json") if one.cancelled else None,
    }


def _of_plain(plain: Mapping[str, Any]) -> Backfill:
    created = r.BackfillCreated.model_validate(plain["created"])
    paused, cancelled = plain["paused"], plain["cancelled"]
    return Backfill(
        name=BackfillName.parse(created.backfill),
        created=created,
        state=BackfillState(plain["state"]),
        begun=plain["begun"],
        position=plain["position"],
        forgiven=plain["forgiven"],
        create_time=datetime.fromisoformat(plain["create_time"]),
        update_time=datetime.fromisoformat(plain["update_time"]),
        paused=r.BackfillPaused.model_validate(paused) if paused else None,
        cancelled=r.BackfillCancelled.model_validate(cancelled) if cancelled else None,
    )
