"""Where a live run is, and what it waits for."""

from collections.abc import Iterator

from services.orchestrator.explanations.present import Delayed, Present, Working
from services.orchestrator.explanations.sentences import closed, count, lasting
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState


def where(run: Run, present: Present) -> Iterator[str]:
    """Yield sentences about a run that moves by itself."""
    yield _pending(run, present) if run.state is RunState.PENDING else _step(run)
    if run.state is RunState.INGESTING and all(delayed.what for delayed in present.delayed):
        yield from _chunks(run, present)
    if present.table:
        yield f"It waits for table {present.table}: run {present.holder} writes to it, one at a time may."
    yield from _setbacks(present.delayed)


def _pending(run: Run, present: Present) -> str:
    if not present.limit:
        return _acknowledged(run, present)
    ahead = f" Before it comes {count(present.ahead, 'run')} of its lane." if present.ahead else ""
    return f"It waits to begin: {present.limit}.{ahead}"


def _step(run: Run) -> str:  # noqa: PLR0911 one case a state
    match run.state:
        case RunState.PLANNING:
            source = run.spec.source.source_id
            return f"A worker looks through source {source} and splits it into chunks."
        case RunState.INGESTING:
            assert run.plan is not None
            done, planned = len(run.landed), len(run.plan.chunks)
            if done == planned:
                return f"Workers have read all of it, {count(planned, 'chunk')}; what they wrote is being committed into staging."
            rows = sum(landed.read_row_count for landed in run.landed.values())
            return f"Workers read it: {done:,} of {count(planned, 'chunk')} done, with {count(rows, 'row')}."
        case RunState.AUDITING if run.audited is None:
            return "Every chunk is done; rows in staging are counted, summed and judged."
        case RunState.AUDITING:
            return "Its rows are counted and judged; it is about to publish."
        case RunState.PUBLISHING:
            return "Its rows are being published in one step, which can no longer be cancelled."
        case RunState.TRANSFORMING:
            done, planned = len(run.transforms), len(run.spec.transforms)
            return f"Its rows are published; {done} of {count(planned, 'transform')} done."
        case RunState.CANCELLING:
            return "Its work is stopped, and what it has staged is being removed."
        case _:
            raise AssertionError(f"a run in {run.state} moves no further by itself")


def _acknowledged(run: Run, present: Present) -> str:
    end = run.created.after_expire_time
    if not present.missing or end is None:
        return "It is acknowledged, and begins as soon as its first record is stored."
    grain = run.spec.window.grain if run.spec.window else "window"
    return (
        f"It waits for {', '.join(present.missing)} to succeed for the same {grain}, at most until "
        f"{end:%Y-%m-%d %H:%M} UTC."
    )


def _chunks(run: Run, present: Present) -> Iterator[str]:
    if present.working:
        slowest = min(present.working, key=lambda working: working.since)
        yield f"Workers have {count(len(present.working), 'chunk')} at this moment."
        yield _slowest(slowest, present)
    limit = run.spec.limits.max_parallel_chunks
    in_turn = min(len(run.missing), limit) - len(present.working) - len(_inputs(present.delayed))
    later = len(run.missing) - limit
    if in_turn > 0:
        waits = "waits" if in_turn == 1 else "wait"
        yield f"{count(in_turn, 'chunk')} {waits} for a slot of a worker: {_queue(present)}."
    if later > 0:
        yield (
            f"{count(later, 'more chunk')} will follow: the pipeline's limits.max_parallel_chunks "
            f"is {limit}."
        )


def _slowest(working: Working, present: Present) -> str:
    text = (
        f"The slowest, of {working.input_id}, is with worker {working.worker} for "
        f"{lasting(present.now - working.since)} and has read {count(working.row_count, 'row')}"
    )
    if working.throttled:
        text += "; its source asks to be read more slowly"
    if working.hedged_at:
        text += f"; a second try of it runs at {working.hedged_at}"
    return f"{text}."


def _queue(present: Present) -> str:
    slots = present.slots
    if slots.cap and slots.busy >= slots.cap:
        return f"the tenant has {slots.busy}, as many as its limit chunk_count allows"
    if slots.free:
        return f"{slots.free} of {slots.all} are free and go to whoever's turn it is"
    shared = f", shared with {count(slots.others, 'other tenant')}" if slots.others else ""
    return f"all {slots.all} are taken{shared}; the tenant has {slots.busy}"


def _inputs(delayed: tuple[Delayed, ...]) -> list[Delayed]:
    return [one for one in delayed if one.what]


def _setbacks(delayed: tuple[Delayed, ...]) -> Iterator[str]:
    """Tell the step, then the chunks: those that fail for one reason together, by what one of them met."""
    for step in (one for one in delayed if not one.what):
        yield (
            f"The step has failed {count(step.tries, 'time')} and is tried again by itself; the last "
            f"try said {step.reason}: {closed(step.message)}"
        )
    chunks = _inputs(delayed)
    for reason in dict.fromkeys(one.reason for one in chunks):
        alike = [one for one in chunks if one.reason == reason]
        worst = max(alike, key=lambda one: one.tries)
        verbs = "has failed and is" if len(alike) == 1 else "have failed and are"
        yield (
            f"{count(len(alike), 'chunk')} {verbs} tried again; one of {worst.what} has failed "
            f"{count(worst.tries, 'time')}, the last time with {reason}: {closed(worst.message)}"
        )
