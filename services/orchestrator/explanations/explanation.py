"""A run explained: from its records and the present moment to sentences. Pure."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from services.orchestrator.explanations.outcomes import History, outcome, survived, who
from services.orchestrator.explanations.present import Present
from services.orchestrator.explanations.sentences import count, moment
from services.orchestrator.explanations.waiting import where
from services.orchestrator.runs import records as r
from services.orchestrator.runs.reasons import Kind, reason_of
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState

TURNS: Final[dict[Kind, str]] = {
    "config": "The tenant's files are at fault: who keeps them has to act.",
    "source": "The source is at fault: who runs it, or keeps its key, has to act.",
    "data": "The rows broke a rule: who delivers the data, or made the rule, has to act.",
    "quota": "Nobody is at fault: a limit was reached.",
    "platform": "The platform is at fault: its operator has to act.",
}
"""Whose turn it is after a failure, by its kind."""

RECORDS: Final = 12
"""So many records show what happened, at most."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What became of a run.

    happened: One sentence each, in order: what it went through, and how it ended or what it waits for.
    fault: Kind of the failure that it ended with, or meets now; None where nothing fails.
    turn: Whose turn it is.
    data_safe: Whether readers see what the state promises: the old rows or the new ones, whole.
    data: What readers see.
    advice: What to do, one sentence each; empty if nothing is.
    commands: Commands that do it.
    records: Those that show it, oldest first.
    """

    run: Run
    happened: tuple[str, ...]
    fault: Kind | None
    turn: str
    data_safe: bool
    data: str
    advice: tuple[str, ...]
    commands: tuple[str, ...]
    records: History


def explain(run: Run, told: History, present: Present) -> Explanation:
    """Explain a run, all of whose records are `told`."""
    now = outcome(run, told) if run.resting else where(run, present)
    return Explanation(
        run=run,
        happened=(_begun(run), *survived(run, told), *now),
        fault=_fault(run, present),
        turn=_turn(run, present),
        data_safe=run.failure is None or run.failure.data_safe,
        data=_data(run),
        advice=tuple(_advice(run, present)),
        commands=tuple(f"convergence {command}" for command in _commands(run)),
        records=_showing(told),
    )


def _begun(run: Run) -> str:
    window = run.created
    about = ""
    if window.window_start and window.window_end:
        about = f", for {moment(window.window_start)} to {moment(window.window_end)}"
    if window.of_backfill:
        about += f", as a part of {window.of_backfill.backfill}"
    return f"The run was created by {who(window.created_by)} at {moment(run.create_time)}{about}."


def _fault(run: Run, present: Present) -> Kind | None:
    if run.failure is not None and run.resting:
        return run.failure.kind
    if run.resting or not present.delayed:
        return None
    return reason_of(present.delayed[0].reason).kind


def _turn(run: Run, present: Present) -> str:
    match run.state:
        case RunState.FAILED | RunState.TRANSFORM_FAILED:
            assert run.failure is not None
            return TURNS[run.failure.kind]
        case RunState.HELD:
            return "Nobody is at fault: somebody of the tenant has to look and decide."
        case RunState.SUCCEEDED | RunState.CANCELLED | RunState.SUPERSEDED:
            return "It is nobody's turn: the run has ended."
        case _:
            fault = _fault(run, present)
            told = f" What fails at the moment: {TURNS[fault]}" if fault else ""
            return f"It is the platform's turn: the run goes on by itself.{told}"


def _data(run: Run) -> str:  # noqa: PLR0911 one case a state
    table = run.spec.target.table_id(run.name.tenant)
    match run.state:
        case RunState.SUCCEEDED:
            done = receipt_of(run)
            assert done is not None
            if not done.chunk_count:
                return f"Readers see {table} as it was: there was nothing to add."
            rows = count(done.landed_row_count, "row")
            return f"Readers see all {rows} of the run in {table}; they became visible in one step."
        case RunState.TRANSFORM_FAILED:
            return f"Readers see all rows of the run in {table}; what its transforms write is as it was."
        case RunState.TRANSFORMING:
            return (
                f"Readers see all rows of the run in {table}; what a transform writes is as it was until "
                "that is done, and changes in one step."
            )
        case RunState.PUBLISHING:
            return f"Readers of {table} see all rows of the run or none, at every moment."
        case RunState.FAILED if run.failure and not run.failure.data_safe:
            return f"The platform does not vouch for {table}: look at it before you use it."
        case RunState.SUPERSEDED:
            return f"Readers see {table} as newer runs have left it; nothing of this run is in it."
        case _:
            return f"Readers see {table} as it was before the run, but for what other runs have published since."


def _advice(run: Run, present: Present) -> Iterator[str]:
    match run.state:
        case RunState.FAILED | RunState.TRANSFORM_FAILED:
            assert run.failure is not None
            yield run.failure.advice or reason_of(run.failure.reason).advice
        case RunState.HELD:
            assert run.held is not None
            yield "Look at what was found and at the rows that were left out, then approve or discard the run."
            yield f"Without a decision it is discarded by itself at {moment(run.held.expire_time)}."
        case RunState.CANCELLED:
            yield "Start another run if the data is wanted after all."
        case RunState.SUCCEEDED if any(x.quarantined_row_count for x in run.landed.values()):
            yield "Look at the rows in quarantine if you want to know why."
        case RunState.SUCCEEDED | RunState.SUPERSEDED:
            return
        case _ if present.delayed:
            yield "Wait: it goes on by itself as soon as what fails is well again."
        case _:
            yield "Wait, or follow it."


def _commands(run: Run) -> Iterator[str]:
    name, pipeline = str(run.name), str(run.name.parent)
    match run.state:
        case RunState.FAILED | RunState.TRANSFORM_FAILED:
            assert run.failure is not None
            if run.failure.kind == "data":
                yield f"runs results {name}"
            if _retried(run):
                yield f"runs retry {name}"
            else:
                yield f"pipelines validate {pipeline}"
                yield f"runs start {pipeline}"
        case RunState.HELD:
            for verb in ("results", "quarantine", "approve", "discard"):
                yield f"runs {verb} {name}"
        case RunState.CANCELLED:
            yield f"runs start {pipeline}"
        case RunState.SUCCEEDED if any(x.quarantined_row_count for x in run.landed.values()):
            yield f"runs quarantine {name}"
        case RunState.SUCCEEDED | RunState.SUPERSEDED:
            return
        case _:
            yield f"runs watch {name}"


def _retried(run: Run) -> bool:
    """Return whether RetryRun helps: a transform is taken as it then stands."""
    assert run.failure is not None
    transforms = run.state is RunState.TRANSFORM_FAILED
    return transforms or reason_of(run.failure.reason).again == "retry"


def _showing(told: History) -> History:
    """Leave out what shows progress alone, but for the newest record."""
    progress = r.ChunkCompleted | r.RunPlanning
    kept = [one for one in told[:-1] if not isinstance(one.record.detail, progress)]
    kept.append(told[-1])
    return kept if len(kept) <= RECORDS else [kept[0], *kept[1 - RECORDS :]]
