"""Rules about runs: one outcome each, what was answered stands, they end, and a cancel stops work."""

import collections
from collections.abc import Iterator
from typing import Final

from tests.faults.check.accounts import FOREVER, PUBLISHED, Account, Turn, Violation
from tests.faults.histories import Entry
from tests.faults.kinds import BIGQUERY, ORCHESTRATOR, WORKER

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
CONCERNED: Final = (WORKER, ORCHESTRATOR, BIGQUERY)
"""Who is between a cancel and the work that it ends: what is done to others keeps nobody from it."""


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
    for claimed in account.of["claimed"]:
        if claimed["run"] not in final:
            text = (
                f"{claimed['process']} woke up and acknowledged {claimed['run']} at {claimed['t']}"
            )
            yield Violation("acknowledged", f"{text}, which is not there")
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
    for e in account.of["standing"]:
        text = (
            f"{e['turn']} stood still for {e['seconds']:g} s, from {e['t'] - e['seconds']:.1f} on"
        )
        yield Violation("progress", f"{text}, when nothing was done to it")
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
        for stream in _streams(account, answered):
            for what in ("opened", "last_append", "finalized"):
                at = stream[what]
                if at is None or at <= answered["t"]:
                    continue
                late = at - answered["t"] - _hindered(account, answered["t"], at)
                if late > CANCEL_SECONDS * account.scale:
                    text = f"{answered['run']}: {what} of {stream['name'].rpartition('/')[2]}"
                    yield Violation("cancel", f"{text} {late:.2f} s after its cancel was answered")


def _streams(account: Account, answered: Entry) -> Iterator[Entry]:
    """Yield a run's streams: into its staging, and those into its pipeline's tables until the next turn."""
    turn = account.turns[answered["turn"]]
    run = answered["run"].rpartition("/")[2]
    dataset, _, table = account.pipelines[turn.pipeline]["target"].partition(".")
    shared = [f"/datasets/{dataset}/tables/{name}/" for name in (table, f"{table}__quarantine")]
    later = (t.began for t in account.turns.values() if t.pipeline == turn.pipeline)
    until = min((began for began in later if began > turn.began), default=FOREVER)
    for stream in account.of["stream"]:
        mine = turn.began <= stream["opened"] < until
        if f"__{run}/" in stream["name"] or (mine and any(x in stream["name"] for x in shared)):
            yield stream


def _hindered(account: Account, begin: float, end: float) -> float:
    """Return for how many seconds between two moments a neighbour of the work was kept from working."""
    concerned = account.members(*CONCERNED)
    spans = sorted(
        (e["t"], e["t"] + e["seconds"])
        for e in account.of["fault"]
        if e["fault"] in HINDERED and e["at"] in concerned
    )
    seconds, counted = 0.0, begin
    for began, ended in spans:
        begun, until = max(began, counted), min(ended, end)
        if until > begun:
            seconds, counted = seconds + until - begun, until
    return seconds
