"""One run as its records tell it, and the fold that makes it."""

import dataclasses
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, Self

from libs.common.errors import FailedPrecondition
from libs.common.names import RunName
from services.orchestrator.runs import records as r
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.states import NEXT, RESTING, RunState
from services.orchestrator.specs import PipelineSpec


class IllegalMove(FailedPrecondition):
    """The run's state does not allow what was asked."""

    reason = "RUN_STATE_MISMATCH"

    def __init__(self, name: str, state: RunState, allowed: frozenset[RunState]) -> None:
        states = ", ".join(sorted(allowed)) or "no state"
        super().__init__(
            f"run {name} is {state}; the call needs one of: {states}",
            name=name,
            state=state,
            allowed=states,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """State of a run after the record at `position`."""

    name: RunName
    spec: PipelineSpec
    created: r.RunCreated
    lane: Lane
    state: RunState
    attempt: int
    position: int
    create_time: datetime
    update_time: datetime
    attempt_time: datetime
    """When the present attempt began, after waiting to: `limits.timeout` counts from here."""
    end_time: datetime | None = None
    snapshot: int | None = None
    plan: r.RunPlanned | None = None
    landed: dict[str, r.Landed] = dataclasses.field(default_factory=dict)
    """Completed chunks by id. Never changed in place."""
    audited: r.RunAudited | None = None
    audit_attempt: int = 0
    """The attempt that was audited: one that only transforms again has the audit before it."""
    audit_position: int = 0
    audit_time: datetime | None = None
    held: r.RunHeld | None = None
    publishing: r.RunPublishing | None = None
    published: r.RunPublished | None = None
    transforms: dict[str, r.TransformCompleted] = dataclasses.field(default_factory=dict)
    transform_jobs: tuple[r.TransformStarted, ...] = ()
    failure: r.Failure | None = None
    cancel: r.RunCancelling | r.RunCancelled | None = None
    reread: bool = False
    """Whether chunks that were done once are read again: rows of their first try may lie about."""
    stagings: int = 1
    """How many staging tables the run has had: the last one is of the present plan."""
    failed_attempt: int = 0
    """The attempt that RetryRun left behind; a repeat that names it changes nothing."""

    @property
    def staging_names(self) -> tuple[str, ...]:
        """Names of the tables that its rows are staged in, one a plan; the last one is in use."""
        table, run = self.spec.target.table, self.name.run
        later = (f"{table}_{number}__{run}" for number in range(2, self.stagings + 1))
        return (f"{table}__{run}", *later)

    @property
    def of_backfill(self) -> bool:
        """Whether a backfill drives it: such runs have places of their own among live ones."""
        return self.lane is Lane.BACKFILL

    @property
    def scope(self) -> r.Scope:
        """Literal values of the run's scope; empty for `append` and before planning."""
        return self.plan.scope if self.plan else self.created.scope

    @property
    def deliveries(self) -> tuple[str, ...]:
        """Deliveries that the run replaces as a whole; empty where it replaces by anything else."""
        return self.plan.named_deliveries if self.plan and self.spec.by_delivery else ()

    @property
    def missing(self) -> tuple[r.Chunk, ...]:
        """Planned chunks that are not done, in plan order."""
        if self.plan is None:
            return ()
        return tuple(c for c in self.plan.chunks if c.chunk_id not in self.landed)

    @property
    def named_attempts(self) -> tuple[int, ...]:
        """Numbers of the chunk tries that the journal names, in order: only their rows count."""
        return tuple(sorted(landed.chunk_attempt for landed in self.landed.values()))

    @property
    def staged_spec(self) -> PipelineSpec:
        """The spec with every variant column that a row might need."""
        return self.spec.with_columns((name, "STRING") for name in self.spec.variants)

    @property
    def published_spec(self) -> PipelineSpec:
        """The spec with the variant columns that rows need, whose statements name its columns."""
        used = {name for landed in self.landed.values() for name in landed.variants}
        return self.spec.with_columns((n, "STRING") for n in self.spec.variants if n in used)

    @property
    def new_columns(self) -> frozenset[str]:
        """Columns that the target gets when the run publishes, unless another adds them before."""
        return frozenset({*(self.plan.new_columns if self.plan else ()), *self.spec.variants})

    @property
    def resting(self) -> bool:
        return self.state in RESTING

    def require(self, allowed: frozenset[RunState]) -> Self:
        """Return this run if its state is one of `allowed`; raise IllegalMove otherwise."""
        if self.state not in allowed:
            raise IllegalMove(str(self.name), self.state, allowed)
        return self


Changes = dict[str, object]
"""Fields of a run, and what becomes of them."""

_FIELDS: Final = {field.name: None for field in dataclasses.fields(Run)}


def _changed(run: Run, changes: Changes) -> Run:
    """Return a run with changes, in a third of the time of dataclasses.replace: every record does it."""
    assert changes.keys() <= _FIELDS.keys(), changes.keys() - _FIELDS.keys()
    made = object.__new__(Run)
    for name in _FIELDS:
        value = changes[name] if name in changes else getattr(run, name)
        object.__setattr__(made, name, value)
    return made


def _to(run: Run, target: RunState, record: r.Record, **changes: object) -> Changes:
    if target not in NEXT[run.state]:
        raise IllegalMove(str(run.name), run.state, frozenset({target}))
    end = record.time if target in RESTING else None
    return {"state": target, "end_time": end, **changes}


def _planning(run: Run, record: r.Record, _: r.RunPlanning) -> Changes:
    if run.state is RunState.PLANNING:
        return {"snapshot": record.position}
    return _to(run, RunState.PLANNING, record, snapshot=record.position, attempt_time=record.time)


def _planned(run: Run, record: r.Record, detail: r.RunPlanned) -> Changes:
    kept = {c.chunk_id: run.landed[c.chunk_id] for c in detail.chunks if c.chunk_id in run.landed}
    spec = run.spec.with_columns(detail.evolved_columns)
    return _to(run, RunState.INGESTING, record, plan=detail, landed=kept, spec=spec)


def _completed(run: Run, _: r.Record, detail: r.ChunkCompleted) -> Changes:
    return {"landed": {**run.landed, detail.landed.chunk_id: detail.landed}}


def _lost(run: Run, record: r.Record, detail: r.ChunksLost) -> Changes:
    kept = {key: value for key, value in run.landed.items() if key not in detail.chunk_ids}
    changes: Changes = {"landed": kept, "reread": True}
    if run.state is RunState.INGESTING:
        return changes
    return _to(run, RunState.INGESTING, record, publishing=None, audited=None, **changes)


def _audited(run: Run, record: r.Record, detail: r.RunAudited) -> Changes:
    return {
        "audited": detail,
        "audit_attempt": run.attempt,
        "audit_position": record.position,
        "audit_time": record.time,
    }


def _publishing(run: Run, record: r.Record, detail: r.RunPublishing) -> Changes:
    if run.state is RunState.PUBLISHING:
        return {"publishing": detail}
    return _to(run, RunState.PUBLISHING, record, publishing=detail, held=None)


def _transform_started(run: Run, _: r.Record, detail: r.TransformStarted) -> Changes:
    return {"transform_jobs": (*run.transform_jobs, detail)}


def _transformed(run: Run, _: r.Record, detail: r.TransformCompleted) -> Changes:
    return {"transforms": {**run.transforms, detail.transform_id: detail}}


def _retried(run: Run, record: r.Record, detail: r.RunRetried) -> Changes:
    changes: Changes = {
        "attempt": detail.attempt,
        "failed_attempt": run.attempt,
        "attempt_time": record.time,
        "failure": None,
        "lane": detail.lane or run.lane,
    }
    if run.state is RunState.TRANSFORM_FAILED:
        if detail.spec:
            assert run.plan is not None
            now = PipelineSpec.model_validate_json(detail.spec, extra="allow")
            changes["spec"] = now.with_columns(run.plan.evolved_columns)
        return _to(run, RunState.TRANSFORMING, record, **changes)
    changes |= {"audited": None, "held": None, "publishing": None}
    if detail.replan or run.plan is None:
        changes |= {"plan": None, "snapshot": None, "landed": {}, "reread": True}
        changes["spec"] = run.spec.without_added()
        changes["stagings"] = run.stagings + detail.restaged
        return _to(run, RunState.PLANNING, record, **changes)
    return _to(run, RunState.INGESTING, record, **changes)


_FOLD: Final[dict[type[r.Part], Callable[[Run, r.Record, r.Part], Changes]]] = {
    r.RunPlanning: _planning,  # type: ignore[dict-item]
    r.RunPlanned: _planned,  # type: ignore[dict-item]
    r.ChunkCompleted: _completed,  # type: ignore[dict-item]
    r.ChunksLost: _lost,  # type: ignore[dict-item]
    r.RunIngested: lambda run, rec, _: _to(run, RunState.AUDITING, rec),
    r.RunAudited: _audited,  # type: ignore[dict-item]
    r.RunHeld: lambda run, rec, d: _to(run, RunState.HELD, rec, held=d),
    r.RunPublishing: _publishing,  # type: ignore[dict-item]
    r.RunPublished: lambda run, rec, d: _to(run, RunState.TRANSFORMING, rec, published=d),
    r.TransformStarted: _transform_started,  # type: ignore[dict-item]
    r.TransformCompleted: _transformed,  # type: ignore[dict-item]
    r.TransformFailed: lambda run, rec, d: _to(
        run,
        RunState.TRANSFORM_FAILED,
        rec,
        failure=d.failure,  # type: ignore[attr-defined]
    ),
    r.RunSucceeded: lambda run, rec, _: _to(run, RunState.SUCCEEDED, rec, failure=None),
    r.RunFailed: lambda run, rec, d: _to(
        run,
        RunState.FAILED,
        rec,
        failure=d.failure,  # type: ignore[attr-defined]
    ),
    r.RunCancelling: lambda run, rec, d: _to(run, RunState.CANCELLING, rec, cancel=d),
    r.RunCancelled: lambda run, rec, d: _to(run, RunState.CANCELLED, rec, cancel=run.cancel or d),
    r.RunSuperseded: lambda run, rec, _: _to(run, RunState.SUPERSEDED, rec),
    r.RunRetried: _retried,  # type: ignore[dict-item]
}


def create(record: r.Record, detail: r.RunCreated) -> Run:
    """Return the run that a RunCreated record begins."""
    return Run(
        name=RunName.parse(record.run),
        spec=PipelineSpec.model_validate_json(detail.spec, extra="allow"),
        created=detail,
        lane=detail.lane,
        state=RunState.PENDING,
        attempt=1,
        position=record.position,
        create_time=record.time,
        update_time=record.time,
        attempt_time=record.time,
    )


def apply(run: Run | None, record: r.Record) -> Run:
    """Return the run after `record`.

    Raises:
        IllegalMove: the record moves the run to a state that NEXT forbids.
    """
    detail = record.detail
    if isinstance(detail, r.RunCreated):
        return create(record, detail)
    assert run is not None, f"record {record.event_id} is about a run that was never created"
    changes = _FOLD[type(detail)](run, record, detail)
    return _changed(run, {**changes, "position": record.position, "update_time": record.time})


def folded(records: Iterable[r.Record]) -> dict[RunName, Run]:
    """Return the runs that whole lists of records tell, by name; each run's are in order."""
    runs: dict[str, Run] = {}
    for record in records:
        runs[record.run] = apply(runs.get(record.run), record)
    return {run.name: run for run in runs.values()}
