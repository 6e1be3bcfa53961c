"""Shows what a run did: rows, money, quality, restatement."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal

from convergence.orchestrator.v1.run_pb2 import (
    Money,
    Receipt,
    Restatement,
    Run,
    RunState,
    ScopeValues,
    Window,
)
from rich.console import RenderableType

from libs.client.cli.output import amount, day, facts, moment, short_lane, short_state, table
from libs.client.runs import SETTLED


def state_of(run: Run) -> str:
    return short_state(RunState.Name(run.state))


def window_text(window: Window) -> str:
    """Return `2026-11-18 … 2026-11-24`, both included, or the deliveries."""
    if window.HasField("start_time"):
        first = day(window.start_time)
        last = str((window.end_time.ToDatetime() - timedelta(microseconds=1)).date())
        return first if first == last else f"{first} … {last}"
    return _some(window.deliveries)


def scope_text(scope: ScopeValues) -> str:
    return f"{scope.column}: {_some(scope.values)}"


def shown(run: Run) -> Iterator[RenderableType]:
    """Yield what is worth knowing about a run, its receipt if it has one."""
    yield facts(
        {
            "run": run.name,
            "state": state_of(run) + (f", attempt {run.attempt}" if run.attempt > 1 else ""),
            "lane": short_lane(run.lane),
            "window": window_text(run.window),
            "created": f"{moment(run.create_time)} by {run.created_by or 'unknown'}",
            "backfill": run.backfill,
            "waits": _wait(run),
            "fire": moment(run.fire_time),
            "waits for": "\n".join(run.waits_for),
            "waits until": moment(run.wait_expire_time),
            "ended": moment(run.end_time),
            "chunks": _progress(run),
            "held": "\n".join(run.hold_reasons),
            "held until": moment(run.hold_expire_time),
            "failure": f"{run.failure.reason}: {run.failure.message}" if run.failure.reason else "",
            "do": run.failure.advice,
            "next": next_step(run),
            "reason given": run.cancel_reason,
            "trace": run.trace_id,
        }
    )
    if run.HasField("receipt"):
        yield ""
        yield from receipt(run.receipt)


def _wait(run: Run) -> str:
    """Return why a run has not begun; empty if nothing keeps it."""
    if not run.HasField("wait"):
        return ""
    count = run.wait.ahead_run_count
    ahead = f"; {count} {'run' if count == 1 else 'runs'} of its lane before it" if count else ""
    return run.wait.message + ahead


def next_step(run: Run) -> str:
    """Return the command that a run waits for; empty if it waits for none."""
    name = run.name
    match run.state:
        case RunState.RUN_STATE_HELD:
            return (
                f"convergence runs results {name}\nconvergence runs quarantine {name}\n"
                f"then convergence runs approve {name}, or discard"
            )
        case state if state in SETTLED:
            return ""
        case _:
            return f"convergence runs watch {name}"


def receipt(done: Receipt) -> Iterator[RenderableType]:
    """Yield the receipt: facts first, then sums of decimal columns and how the scope changed."""
    yield facts(
        {
            "rows": _rows(done),
            "inputs": _some(done.inputs),
            "known": _some(done.known_inputs),
            "quality": _met(done),
            "left out": "\n".join(map(scope_text, done.left_out)),
            "transforms": "\n".join(
                f"{one.transform} → {one.target_table}, {one.row_count:,} rows"
                for one in done.transforms
            ),
            "restated": _restated(done),
            "took": _took(done),
        },
        title="Receipt",
    )
    if done.money:
        yield ""
        yield _sums(done.money)
    if done.restatement.old_row_count and done.restatement.money:
        yield ""
        yield _changes(done.restatement)


def _sums(money: Iterable[Money]) -> RenderableType:
    """Return sums by column; what only `merge` or broken cells have is left out where it is not."""
    told = {
        "read": [amount(one.read) for one in money],
        "published": [amount(one.landed) for one in money],
        "quarantined": [amount(one.quarantined) for one in money],
        "outdated": [amount(one.outdated) for one in money],
        "cells that are no number": [f"{one.unparsable_count:,}" for one in money],
    }
    always = ("read", "published", "quarantined")
    shown = [name for name in told if name in always or set(told[name]) - {"0", ""}]
    rows = zip([one.column for one in money], *(told[name] for name in shown), strict=True)
    return table(rows, "sum of", *shown, right=shown)


def _changes(change: Restatement) -> RenderableType:
    columns = ("change of", "before", "now", "change")
    rows = [
        (one.column, amount(one.old), amount(one.new), signed(amount(one.change)))
        for one in change.money
    ]
    return table(rows, *columns, right=columns[1:])


def signed(text: str) -> str:
    """Return decimal text with a sign if it is positive."""
    return f"+{text}" if text and Decimal(text) > 0 else text


def _rows(done: Receipt) -> str:
    parts = [f"{done.read_row_count:,} read", f"{done.landed_row_count:,} published"]
    parts.append(f"{done.quarantined_row_count:,} quarantined")
    if done.outdated_row_count:
        parts.append(f"{done.outdated_row_count:,} outdated")
    return ", ".join(parts)


def _met(done: Receipt) -> str:
    asked = done.expectation_count
    return f"{asked - done.failed_expectation_count} of {asked} expectations met" if asked else ""


def _took(done: Receipt) -> str:
    seconds = done.duration.ToTimedelta().total_seconds()
    chunks = f"{done.chunk_count} chunk" + ("" if done.chunk_count == 1 else "s")
    tried = f", {done.retried_chunk_count} of them retried" if done.retried_chunk_count else ""
    return f"{seconds:,.2f} s, {chunks}{tried}"


def _restated(done: Receipt) -> str:
    if not done.HasField("restatement"):
        return ""
    change = done.restatement
    if not change.old_row_count:
        return "nothing was there before"
    return f"{change.old_row_count:,} rows replaced by {change.new_row_count:,}"


def _progress(run: Run) -> str:
    done = run.progress
    return f"{done.done_chunk_count} of {done.chunk_count}" if done.chunk_count else ""


def _some(values: Iterable[str], most: int = 5) -> str:
    """Return up to `most` values and how many more there are."""
    texts = list(values)
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
