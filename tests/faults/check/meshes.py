"""Rules about the mesh: the journal, who leads, what is left behind, and that there were faults at all."""

import collections
import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from tests.faults.check.accounts import Account, Violation
from tests.faults.histories import Entry
from tests.faults.kinds import BIGQUERY, ORCHESTRATOR, SIGNALS, STORED

JOURNAL: Final = "/datasets/metadata/tables/run_events/"
NOTED_SECONDS: Final = 2.0
"""How much later than the kernel a supervisor may note that a process has ended."""


LOGGED_SECONDS: Final = 0.5
"""How long after a leader has let go of its lease it may still say so."""


TIDY_SECONDS: Final = 15.0
"""How long after its last record a run may still be tidied up."""


ROBBED_SECONDS: Final = 30.0
"""How long a leader that was robbed of its lease may go on once it is awake: until it must write to the journal."""


REFUSED_SECONDS: Final = 5.0
"""How long after a fault of BigQuery a leader may give up what that has failed."""


def journal(account: Account) -> Iterator[Violation]:
    """Each position and event once, without gaps, epochs in their order."""
    records = sorted(account.of["record"], key=lambda e: int(e["position"]))
    for what in ("position", "event"):
        counts = collections.Counter(e[what] for e in records)
        for value, count in counts.items():
            if count > 1:
                yield Violation("journal", f"{what} {value} is there {count} times")
    for before, after in itertools.pairwise(records):
        if after["epoch"] < before["epoch"]:
            text = f"epoch {after['epoch']} at position {after['position']} after {before['epoch']}"
            yield Violation("journal", text)
        if after["position"] > before["position"] + 1:
            yield Violation(
                "journal", f"nothing between {before['position']} and {after['position']}"
            )


def one_leader(account: Account) -> Iterator[Violation]:
    """A leader begins when the one before has ended, or was robbed of its lease while it was stopped."""
    leads = sorted(account.of["leads"], key=lambda e: int(e["epoch"]))
    for before, after in itertools.pairwise(leads):
        if before["epoch"] == after["epoch"]:
            yield Violation("one-leader", f"two leaders of epoch {before['epoch']}")
        began = _moment(after["wall"])
        if _robbed(account, before, began):
            continue
        ends = [
            _moment(e["wall"])
            for e in account.of["process"]
            if e["event"] == "process.died" and e["process"] == before["process"]
        ]
        ended = min((end for end in ends if end > _moment(before["wall"])), default=float("inf"))
        lived = [_moment(e["wall"]) for e in account.of["lived"] if e["epoch"] == before["epoch"]]
        if ended > began + NOTED_SECONDS * account.scale or any(
            end > began + LOGGED_SECONDS * account.scale for end in lived
        ):
            text = f"epoch {after['epoch']} ({after['process']}) began at {after['wall']}"
            yield Violation("one-leader", f"{text} while that of {before['epoch']} was alive")


def _robbed(account: Account, lead: Entry, before: float) -> bool:
    """Whether a leader's lease was handed on before a moment.

    It may have been stopped before it said that it leads, but not before it said where its journal is.
    """
    begun, process = _moment(lead["wall"]), lead["process"]
    starts = (
        _moment(e["wall"])
        for e in account.of["process"]
        if e["event"] == "process.started" and e["process"] == process
    )
    since = max((start for start in starts if start <= begun), default=0.0)
    wall = account.begun["wall"] - account.begun["t"]
    return any(
        e["process"] == process and e["announced"] and since <= e["t"] + wall <= before
        for e in account.of["robbed"]
    )


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def leaks(account: Account) -> Iterator[Violation]:
    """No staging table, no process and no connection of a stream is left; only the journal's stay open.

    A staging table may be left to expire when a fault of BigQuery failed its drop, or its leader ended before it;
    one that does not expire is always a leak.
    """
    for left in account.of["left"]:
        for found in left["found"]:
            if left["what"] != "staging":
                yield Violation("leaks", f"{left['what']} is left: {found}")
            elif found not in left["expiring"]:
                yield Violation("leaks", f"staging is left and never expires: {found}")
            elif not _excused(account, found):
                yield Violation("leaks", f"staging is left: {found}")
    for stream in account.of["stream"]:
        if stream["open_call_count"] and JOURNAL not in stream["name"]:
            yield Violation("leaks", f"stream has a connection still: {stream['name']}")


def excused(account: Account) -> list[str]:
    """Return the staging tables that are left, and that a fault has left to expire."""
    staging = (e["expiring"] for e in account.of["left"] if e["what"] == "staging")
    return [table for found in staging for table in found if _excused(account, table)]


def _excused(account: Account, table: str) -> bool:
    """Whether a fault of BigQuery kept a leader from dropping a table, or it ended when it was about to.

    A former leader that wakes up in the middle of a call may also make a table anew, of a run that it had
    and that its successor has tidied up meanwhile.
    """
    wall = account.begun["wall"] - account.begun["t"]
    for e in account.of["untidied"]:
        named = f".{table}:" in e["cause"] or f".{table})" in e["cause"]
        if named and _refused(account, _moment(e["wall"]) - wall):
            return True
    run = table.rpartition("__")[2]
    seen = [e for e in account.of["seen"] if run.startswith(e["run"].rpartition("/")[2])]
    if not seen:
        return False
    last, began = max(e["t"] for e in seen), account.turns[seen[0]["turn"]].began
    died = [(e["process"], _moment(e["wall"]) - wall) for e in account.of["process"]
            if e["event"] == "process.died" and e["process"] in account.members(ORCHESTRATOR)]  # fmt: skip
    for process, end in died:
        soon = last - NOTED_SECONDS <= end <= last + TIDY_SECONDS * account.scale
        if soon and _led(account, process, end + wall):
            return True
    return any(
        began <= e["t"] <= last <= _awake(account, e) + ROBBED_SECONDS * account.scale
        for e in account.of["robbed"]
        if e["announced"]
    )


def _awake(account: Account, robbed: Entry) -> float:
    """Return when a leader that was robbed woke up; as it was robbed if nobody knows."""
    woken = (e["t"] for e in account.of["woken"] if e["process"] == robbed["process"])
    return min((t for t in woken if t >= robbed["t"]), default=float(robbed["t"]))


def _refused(account: Account, moment: float) -> bool:
    """Whether a fault of BigQuery was under way at a moment, or had just been."""
    after = REFUSED_SECONDS * account.scale
    return any(
        (e["at"] in account.members(BIGQUERY) or e["fault"] in STORED)
        and e["t"] <= moment <= e["t"] + e["seconds"] + after
        for e in account.of["fault"]
    )


def _led(account: Account, process: str, wall: float) -> bool:
    """Whether a process led at a moment: no other had begun well before, as ends are noted late."""
    leads = sorted(account.of["leads"], key=lambda e: int(e["epoch"]))
    begun = [_moment(e["wall"]) for e in leads]
    ends = [at + NOTED_SECONDS for at in (*begun[1:], float("inf"))]
    return any(
        lead["process"] == process and began <= wall <= end
        for lead, began, end in zip(leads, begun, ends, strict=True)
    )


def enough(account: Account) -> Iterator[Violation]:
    """As many faults as were asked for, of each kind and to each process, while a run was under way."""
    least = account.begun["least"]
    counted = account.faults
    by_kind = collections.Counter(e["fault"] for e in counted)
    by_process = collections.Counter(e["at"] for e in counted if e["fault"] in SIGNALS)
    if len(counted) < least.get("all", 0):
        yield Violation("enough", f"{len(counted)} faults, at least {least['all']} were to be done")
    for kind in account.begun.get("kinds", ()):
        if by_kind[kind] < least.get("kind", 0):
            yield Violation(
                "enough", f"{by_kind[kind]} faults of kind {kind}, least {least['kind']}"
            )
    for process in account.processes:
        if by_process[process] < least.get("process", 0):
            text = f"{by_process[process]} signals to {process}, least {least['process']}"
            yield Violation("enough", text)
    for pipeline in account.pipelines if least else ():
        if not any("error" not in e for e in account.of["read"] if e["pipeline"] == pipeline):
            yield Violation("enough", f"nobody ever read {pipeline}")
