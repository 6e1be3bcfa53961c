"""Tells a run in sentences: what happened, whose turn it is, whether data is safe, what to do."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from convergence.common.v1.failure_pb2 import FailureKind
from convergence.orchestrator.v1.run_pb2 import Run, RunEvent, RunState

from libs.client.cli.output import moment
from libs.client.cli.receipts import window_text

WHOSE: Final[dict[FailureKind, str]] = {
    FailureKind.FAILURE_KIND_CONFIG: "The tenant's files are wrong: who keeps them has to act.",
    FailureKind.FAILURE_KIND_SOURCE: "The source is at fault: who runs it, or its key, has to act.",
    FailureKind.FAILURE_KIND_DATA: "The rows broke a rule: who delivers the data has to act.",
    FailureKind.FAILURE_KIND_QUOTA: "A limit was reached: wait, or have it raised.",
    FailureKind.FAILURE_KIND_PLATFORM: "The platform itself failed: its operator has to act.",
}
UNCHANGED: Final = "Data is safe: the table is as it was before the run."
DECISIVE: Final = (
    "run.failed",
    "run.held",
    "run.cancelled",
    "chunk.failed",
    "chunk.lost",
    "transform.failed",
)
"""Event types that show why a run went as it did; of others the last ones are shown."""


def explain(run: Run, events: Sequence[RunEvent]) -> Iterator[str]:
    """Yield paragraphs about `run`, whose history is `events`, oldest first."""
    yield _what(run)
    if run.failure.reason:
        yield WHOSE.get(run.failure.kind, "Who has to act is not known.")
    yield _safety(run)
    yield _next(run)
    records = list(_records(events))
    if records:
        yield "\n".join(["These records show it:", *records])


def _what(run: Run) -> str:
    about = window_text(run.window)
    subject = f"Run {run.name}" + (f" for {about}" if about else "")
    told = TOLD.get(run.state)
    return (
        f"{subject} {told(run)}"
        if told
        else f"{subject} is in a state that this client does not know."
    )


def _succeeded(run: Run) -> str:
    done = run.receipt
    text = f"succeeded: {done.landed_row_count:,} of {done.read_row_count:,} rows are published"
    if done.known_inputs and not done.read_row_count:
        return "succeeded and had nothing to do: its inputs were published before."
    if done.quarantined_row_count:
        text += f", {done.quarantined_row_count:,} are in quarantine"
    return f"{text}."


def _failed(run: Run) -> str:
    return f"failed in attempt {run.attempt} with {run.failure.reason}: {run.failure.message}"


def _held(run: Run) -> str:
    reasons = "\n".join(f"  - {reason}" for reason in run.hold_reasons)
    return f"is held back until somebody decides:\n{reasons}"


def _cancelled(run: Run) -> str:
    because = f": {run.cancel_reason}" if run.cancel_reason else "."
    return f"was cancelled{because}"


def _superseded(_run: Run) -> str:
    return "was superseded: newer looks at all it covers are published."


def _live(text: str) -> Callable[[Run], str]:
    def told(run: Run) -> str:
        done = run.progress
        chunks = (
            f" ({done.done_chunk_count} of {done.chunk_count} chunks)" if done.chunk_count else ""
        )
        return text + chunks + "."

    return told


TOLD: Final[dict[int, Callable[[Run], str]]] = {
    RunState.RUN_STATE_PENDING: _live("waits for its turn"),
    RunState.RUN_STATE_PLANNING: _live("is being planned: a worker splits the source"),
    RunState.RUN_STATE_INGESTING: _live("is being read by workers"),
    RunState.RUN_STATE_AUDITING: _live("is read; its rows are counted and judged"),
    RunState.RUN_STATE_PUBLISHING: _live("is being published, all at once"),
    RunState.RUN_STATE_TRANSFORMING: _live("is published; its transforms run"),
    RunState.RUN_STATE_CANCELLING: _live("is being stopped"),
    RunState.RUN_STATE_SUCCEEDED: _succeeded,
    RunState.RUN_STATE_FAILED: _failed,
    RunState.RUN_STATE_TRANSFORM_FAILED: lambda run: (
        f"is published, but a transform {_failed(run)}"
    ),
    RunState.RUN_STATE_HELD: _held,
    RunState.RUN_STATE_CANCELLED: _cancelled,
    RunState.RUN_STATE_SUPERSEDED: _superseded,
}


def _safety(run: Run) -> str:
    match run.state:
        case RunState.RUN_STATE_SUCCEEDED:
            return "Data is safe: readers saw all of the run's rows at once."
        case RunState.RUN_STATE_TRANSFORM_FAILED:
            return (
                "Data is safe: the rows are published, and what the transform writes is as it was."
            )
        case RunState.RUN_STATE_PUBLISHING | RunState.RUN_STATE_TRANSFORMING:
            return "Data is safe: readers see all of the run's rows or none."
        case RunState.RUN_STATE_FAILED if not run.failure.data_safe:
            return "The platform does not vouch for the table: look at it before you use it."
        case _:
            return UNCHANGED


def _next(run: Run) -> str:
    name = run.name
    match run.state:
        case RunState.RUN_STATE_FAILED | RunState.RUN_STATE_TRANSFORM_FAILED:
            return f"To do: {run.failure.advice or 'see the reason'} Then: convergence runs retry {name}"
        case RunState.RUN_STATE_HELD:
            until = moment(run.hold_expire_time)
            return (
                f"To do: look with `convergence runs results {name}` and `convergence runs quarantine {name}`, "
                f"then `convergence runs approve {name}` or `convergence runs discard {name}`."
                + (f" Without a decision it is discarded at {until}." if until else "")
            )
        case RunState.RUN_STATE_SUCCEEDED if run.receipt.quarantined_row_count:
            return f"To do: nothing, or see the rows left out: convergence runs quarantine {name}"
        case RunState.RUN_STATE_SUCCEEDED | RunState.RUN_STATE_SUPERSEDED:
            return "To do: nothing."
        case RunState.RUN_STATE_CANCELLED:
            pipeline = name.partition("/runs/")[0]
            return f"To do: nothing, or start another: convergence runs start {pipeline}"
        case _:
            return f"To do: wait, or follow it: convergence runs watch {name}"


def _records(events: Iterable[RunEvent]) -> Iterator[str]:
    kept = list(events)
    telling = [event for event in kept if event.event_type in DECISIVE][-5:] or kept[-5:]
    for event in telling:
        yield f"  #{event.position} {moment(event.event_time)} {event.event_type}: {event.summary}"
