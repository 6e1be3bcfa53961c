"""Backfills as their records tell them, and which window of each has which run: a fold, no I/O."""

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
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


@dataclasses.dataclass(slots=True)
class Backfills:
    """All backfills after all records applied, in order of position."""

    by_name: dict[BackfillName, Backfill] = dataclasses.field(default_factory=dict)
    requests: dict[tuple[str, str], BackfillName] = dataclasses.field(default_factory=dict)
    """Backfills by (tenant, request id)."""
    _runs: dict[BackfillName, dict[date, RunName]] = dataclasses.field(default_factory=dict)
    _open: dict[PipelineName, BackfillName] = dataclasses.field(default_factory=dict)

    def add(self, record: r.Record, detail: r.BackfillDetail) -> None:
        """Apply a record about a backfill.

        Raises:
            BackfillStateMismatch: the record moves it to a state that NEXT forbids; nothing changed.
        """
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

    def snapshot(self) -> dict[str, Any]:
        """Return everything as values that JSON has; `restore` gives the same back."""
        return {"backfills": [_plain(one) for one in self.by_name.values()], "runs": self._days()}

    def _days(self) -> dict[str, dict[str, str]]:
        return {
            str(name): {day.isoformat(): run.run for day, run in runs.items()}
            for name, runs in self._runs.items()
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """Return what `snapshot` was taken of."""
        made = cls()
        for one in map(_of_plain, snapshot["backfills"]):
            made.by_name[one.name] = one
            made.requests[one.name.tenant, one.created.request_id] = one.name
            if not one.final:
                made._open[one.name.parent] = one.name
        for text, runs in snapshot["runs"].items():
            name = BackfillName.parse(text)
            made._runs[name] = {
                date.fromisoformat(day): name.parent.run(run) for day, run in runs.items()
            }
        return made


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
