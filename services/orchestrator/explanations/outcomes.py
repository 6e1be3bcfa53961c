"""How a run came to rest."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from services.orchestrator.explanations.sentences import closed, count, lasting, moment
from services.orchestrator.runs import records as r
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.runs.telling import Told

History = Sequence[Told]
"""All records of a run, oldest first."""

DOING: Final = {
    RunState.PENDING: "before it began",
    RunState.PLANNING: "while it was planned",
    RunState.INGESTING: "while it was read",
    RunState.AUDITING: "while its rows were counted and judged",
    RunState.HELD: "while it was held",
    RunState.PUBLISHING: "while it was being published",
    RunState.TRANSFORMING: "while it was transformed",
    RunState.FAILED: "after it had failed",
    RunState.TRANSFORM_FAILED: "after a transform had failed",
}


def outcome(run: Run, told: History) -> Iterator[str]:
    """Yield sentences about the end of a run, or about why nothing moves it by itself."""
    match run.state:
        case RunState.SUCCEEDED:
            yield from _succeeded(run)
        case RunState.FAILED:
            yield _failed(run, told)
        case RunState.TRANSFORM_FAILED:
            yield from _transform_failed(run, told)
        case RunState.HELD:
            yield from _held(run)
        case RunState.CANCELLED:
            yield from _cancelled(told)
        case RunState.SUPERSEDED:
            yield _superseded(told)
        case _:
            raise AssertionError(f"a run in {run.state} moves by itself")


def _succeeded(run: Run) -> Iterator[str]:
    done = receipt_of(run)
    assert done is not None
    if done.known_inputs:
        yield f"{count(len(done.known_inputs), 'input')} had been published before and was left out."
    if not done.chunk_count:
        yield "It had nothing to read, and has succeeded."
        return
    yield (
        f"It has succeeded after {lasting(done.duration)}: {done.landed_row_count:,} of "
        f"{count(done.read_row_count, 'row')} read are published."
    )
    if done.quarantined_row_count:
        yield f"{count(done.quarantined_row_count, 'row')} broke a rule and went to quarantine."
    if done.outdated_row_count:
        yield f"{count(done.outdated_row_count, 'row')} lost against a newer version or a newer look."
    if done.restatement and done.restatement.old_row_count:
        yield f"They replace {count(done.restatement.old_row_count, 'row')} of earlier looks."


def _failed(run: Run, told: History) -> str:
    assert run.failure is not None
    return (
        f"Attempt {run.attempt} failed {_when(told, r.RunFailed)}, with {run.failure.reason}: "
        f"{closed(run.failure.message)}"
    )


def _transform_failed(run: Run, told: History) -> Iterator[str]:
    assert run.failure is not None
    failed = _last(told, r.TransformFailed)
    which = failed.detail.transform_id if isinstance(failed.detail, r.TransformFailed) else ""
    yield "Its rows are published."
    yield (
        f"Transform {which} failed at {moment(failed.time)} with {run.failure.reason}: "
        f"{closed(run.failure.message)}"
    )


def _held(run: Run) -> Iterator[str]:
    assert run.held is not None
    yield f"Everything is read and counted; it is held since {moment(run.update_time)}, because:"
    yield from (closed(reason) for reason in run.held.reasons)


def _cancelled(told: History) -> Iterator[str]:
    asked = _last(told, r.RunCancelling, r.RunCancelled, first=True)
    detail = asked.detail
    assert isinstance(detail, r.RunCancelling | r.RunCancelled)
    why = f": {closed(detail.reason)}" if detail.reason else "."
    yield f"It was cancelled by {who(detail.by)} {_when(told, type(detail))}{why}"
    if isinstance(detail, r.RunCancelling):
        taken = lasting(told[-1].record.time - asked.time)
        yield f"Its work had stopped and what it had staged was gone {taken} later."


def who(by: str) -> str:
    """Name whoever asked: by a key's id, or by what the platform calls itself."""
    return {
        "schedule": "its pipeline's schedule",
        "backfill": "its backfill",
        "hold_for": "its pipeline's hold_for",
        "platform": "the platform",
        "": "an unknown caller",
    }.get(by, f"key {by}")


def _superseded(told: History) -> str:
    detail = _last(told, r.RunSuperseded).detail
    assert isinstance(detail, r.RunSuperseded)
    by = f"run {detail.by_run}" if detail.by_run else "later runs"
    return f"Newer looks at all that it covers are published, by {by}: it ended {_when(told, r.RunSuperseded)}."


def survived(run: Run, told: History) -> Iterator[str]:
    """Yield sentences about what a run went through and went on from."""
    for before, after in itertools.pairwise(told):
        detail, at = after.record.detail, moment(after.record.time)
        if isinstance(detail, r.RunRetried) and before.failure:
            anew = ", planning anew" if detail.replan else ""
            yield (
                f"Attempt {before.attempt} failed with {before.failure.reason}, and "
                f"{who(detail.by)} retried it at {at}{anew}."
            )
        if isinstance(detail, r.ChunksLost):
            lost = count(len(detail.chunk_ids), "chunk")
            yield f"At {at} {lost} had to be read again: {closed(detail.cause)}"
    if again := sum(landed.try_count > 1 for landed in run.landed.values()):
        yield f"{count(again, 'chunk')} took more than one try."
    if changes := len({one.record.epoch for one in told}) - 1:
        yield f"The orchestrator was replaced {count(changes, 'time')} meanwhile; the run went on from its records."


def _last(told: History, *kinds: type[r.Part], first: bool = False) -> r.Record:
    found = [one.record for one in told if isinstance(one.record.detail, kinds)]
    return found[0 if first else -1]


def _when(told: History, kind: type[r.Part]) -> str:
    """Return in which state a record met the run, and when."""
    at = max(i for i, one in enumerate(told) if isinstance(one.record.detail, kind))
    return f"{DOING[told[at - 1].state]}, at {moment(told[at].record.time)}"
