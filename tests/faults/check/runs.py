"""Rules about runs: one outcome each, what was answered stands, they end, and a cancel stops work."""

import collections
from collections.abc import Iterator
from typing import Final

from tests.faults.check.accounts import PUBLISHED, Account, Turn, Violation

FINAL: Final = frozenset({"SUCCEEDED", "CANCELLED", "SUPERSEDED"})
ENDS: Final = frozenset({"run.succeeded", "run.cancelled", "run.superseded"})
STEERED: Final = {
    "cancel": frozenset({"CANCELLED"}),
    "discard": frozenset({"CANCELLED"}),
    "approve": frozenset({"SUCCEEDED", "TRANSFORM_FAILED", "SUPERSEDED"}),
}
MET: Final = {
    "plain": ("seen", "SUCCEEDED"),
    "cancel": ("answered", "cancel"),
    "cancel_slow": ("answered", "cancel"),
    "broken": ("seen", "FAILED"),
    "shrunken": ("seen", "HELD"),
    "discarded": ("answered", "discard"),
    "bad_rows": ("seen", "SUCCEEDED"),
}
"""By scenario: the kind of an entry that shows that it came to what it is for, and its state or op."""

CANCEL_SECONDS: Final = 2.0
HINDERED: Final = frozenset({"stop", "cut", "refuse", "delay", "stall", "kill", "usurp", "term"})


def acknowledged(account: Account) -> Iterator[Violation]:
    """What a call was answered with is true for ever."""
    final = {e["run"]: e["state"] for e in account.of["run"]}
    for turn in account.turns.values():
        if len(turn.runs) > 1:
            yield Violation(
                "acknowledged", f"{turn.name}: one request id, runs {sorted(turn.runs)}"
            )
        for run in turn.runs - set(final):
            yield Violation("acknowledged", f"{turn.name}: {run} was acknowledged and is not there")
    for seen in account.of["seen"]:
        if seen["state"] == "MISSING":
            text = f"{seen['run']} was acknowledged and not found at {seen['t']}"
            yield Violation("acknowledged", text)
    for answered in account.of["answered"]:
        allowed = STEERED.get(answered["op"])
        state = final.get(answered["run"])
        if allowed and state and state not in allowed:
            text = f"{answered['turn']}: {answered['op']} was acknowledged at {answered['t']}"
            yield Violation("acknowledged", f"{text}, and {answered['run']} is {state}")


def one_outcome(account: Account) -> Iterator[Violation]:
    """A run that has ended stays as it ended; the journal says so once."""
    ended: dict[str, str] = {}
    noted = [*account.of["seen"], *account.of["answered"], *account.of["run"]]
    for e in noted:
        run, state = e["run"], e["state"]
        before = ended.get(run)
        if before and state != before and (state in FINAL or e["kind"] != "answered"):
            yield Violation("one-outcome", f"{run} was {before} and then {state} at {e['t']}")
        if state in FINAL:
            ended.setdefault(run, state)
    for turn in account.turns.values():
        for run in turn.runs:
            if turn.state in FINAL and ended.get(run, turn.state) != turn.state:
                text = f"{turn.name} ended {turn.state}, and {run} is {ended[run]}"
                yield Violation("one-outcome", text)
    for kinds in (ENDS, frozenset({"run.published"})):
        counts: dict[str, int] = {}
        for record in account.of["record"]:
            if record["type"] in kinds:
                counts[record["run"]] = counts.get(record["run"], 0) + 1
        for run, count in counts.items():
            if count > 1:
                yield Violation("one-outcome", f"{run} has {count} records of {sorted(kinds)}")


def progress(account: Account) -> Iterator[Violation]:
    """Every run ends; when all is well again the last one of each pipeline succeeds."""
    for turn in account.turns.values():
        if turn.state not in FINAL:
            text = f"{turn.name} ({turn.scenario}), begun at {turn.began}, did not end"
            yield Violation("progress", f"{text}: {turn.state}")
        elif turn.last and turn.state != PUBLISHED:
            yield Violation("progress", f"{turn.name}, when all was well again, ended {turn.state}")
    for e in account.of["ill"]:
        if e["processes"]:
            yield Violation("progress", f"not serving when all was well again: {e['processes']}")
    for e in account.of["odd"]:
        yield Violation("progress", f"{e['turn']} {e['op']}: {e['text']}")


def scenarios(account: Account) -> Iterator[Violation]:
    """Each scenario came to what it is for: the guard held, a broken delivery failed, a cancel was answered."""
    met = collections.Counter(
        turn.scenario for turn in account.turns.values() if _met(account, turn)
    )
    for turn in account.turns.values():
        if turn.scenario == "broken" and turn.state == PUBLISHED and not _met(account, turn):
            yield Violation("enough", f"{turn.name} was broken, and never failed")
    least = account.begun["least"].get("scenario", 0)
    for scenario in MET:
        if met[scenario] < least:
            text = f"{met[scenario]} of {scenario} came to {MET[scenario][1]}, least {least}"
            yield Violation("enough", text)


def _met(account: Account, turn: Turn) -> bool:
    kind, what = MET[turn.scenario]
    said = (e for e in account.of[kind] if e["turn"] == turn.name)
    return any(e["state" if kind == "seen" else "op"] == what for e in said)


def cancel(account: Account) -> Iterator[Violation]:
    """Two seconds after a cancel was answered no worker writes for the run, but for what hindered it."""
    for answered in account.of["answered"]:
        if answered["op"] not in {"cancel", "discard"}:
            continue
        run = answered["run"].rpartition("/")[2]
        until = _allowed(account, answered["t"])
        for stream in account.of["stream"]:
            if f"__{run}/" not in stream["name"]:
                continue
            for what in ("opened", "last_append", "finalized"):
                at = stream[what]
                if at is not None and at > until:
                    late = round(at - answered["t"], 2)
                    text = f"{answered['run']}: {what} of {stream['name'].rpartition('/')[2]}"
                    yield Violation("cancel", f"{text} {late} s after its cancel was answered")


def _allowed(account: Account, answered: float) -> float:
    """Return until when a worker may be at work: later by what a process or link was kept from working."""
    until = answered + CANCEL_SECONDS * account.scale
    for fault in sorted(account.of["fault"], key=lambda e: float(e["t"])):
        if fault["fault"] in HINDERED:
            began, ended = fault["t"], fault["t"] + fault["seconds"]
            if ended >= answered - CANCEL_SECONDS and began <= until:
                until = max(until, ended + CANCEL_SECONDS * account.scale)
    return until
