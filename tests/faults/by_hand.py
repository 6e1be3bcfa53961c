"""Histories made by hand: a good one, and ways to spoil it."""

from collections.abc import Callable
from typing import Any

from tests.faults import histories, models, sources
from tests.faults.kinds import KINDS
from tests.faults.mesh import members
from tests.faults.sources import Delivery

P = "tenants/north/pipelines/p_replace"
FILE = "deliveries/replace/a.csv"
JOURNAL = "projects/local/datasets/metadata/tables/run_events/streams/j"

History = list[histories.Entry]


def delivery(first: int, good: int, bad: int = 0) -> dict[str, int]:
    return Delivery(first=first, good=good, bad=bad).facts()


OLD, NEW = delivery(1, 3), delivery(10, 4, bad=1)


def run(n: int) -> str:
    return f"{P}/runs/r{n}"


def turn(n: int, t: float, file: dict[str, int], state: str, **more: Any) -> History:
    name, facts = f"{P}#{n}", {"pipeline": P}
    return [
        {"t": t, "kind": "turn", "turn": name, "scenario": "plain", "last": False,
         "files": {FILE: file}, **facts, **more},
        {"t": t + 0.1, "kind": "asked", "turn": name, "op": "create", **facts},
        {"t": t + 0.2, "kind": "answered", "turn": name, "op": "create", "run": run(n), "state": "PENDING", **facts},
        {"t": t + 5, "kind": "seen", "turn": name, "run": run(n), "state": state, **facts},
        {"t": t + 5, "kind": "outcome", "turn": name, "state": state, **facts},
        {"t": 95.0, "kind": "run", "run": run(n), "state": state},
    ]  # fmt: skip


def read(t: float, file: dict[str, int] | None) -> histories.Entry:
    groups = {}
    if file:
        found = models.Group.of(row[0] for row in models.rows(file))
        groups = {FILE: [found.count, found.distinct, found.lowest, found.highest, found.total]}
    return {"t": t, "began": t - 0.1, "kind": "read", "pipeline": P, "silver": False, "groups": groups}  # fmt: skip


def row(id_: int, key: int, version: int = 0) -> list[str]:
    return [FILE, str(id_), str(key), str(version), str(sources.cost(id_))]


def record(position: int, type_: str, n: int, epoch: int = 1) -> histories.Entry:
    return {"t": 96.0, "kind": "record", "position": position, "epoch": epoch,
            "event": f"e{position}", "type": type_, "run": run(n)}  # fmt: skip


def good() -> History:
    """Three turns: published, cancelled, published; one change of leader; everything tidy."""
    wall = 1_700_000_000.0
    return [
        {"t": 0.0, "kind": "begun", "wall": wall, "scale": 1.0, "least": {}, "kinds": KINDS},
        *({"t": 0.0, "kind": "member", "name": name, "role": role, "link": link} for name, role, link in members()),
        {"t": 0.0, "kind": "pipeline", "pipeline": P, "mode": "replace", "target": "north_raw.rows"},
        *turn(1, 10, OLD, "SUCCEEDED"),
        *turn(2, 20, delivery(5, 5), "CANCELLED"),
        {"t": 21.0, "kind": "answered", "turn": f"{P}#2", "op": "cancel", "run": run(2), "state": "CANCELLING"},
        *turn(3, 30, NEW, "SUCCEEDED", last=True),
        read(9, None), read(12, None), read(12.5, OLD), read(16, OLD), read(29, OLD),
        read(32, OLD), read(33, NEW), read(40, NEW),
        {"t": 94.0, "kind": "rows", "pipeline": P, "silver": False, "rows": [row(10 + i, i) for i in range(4)]},
        {"t": 94.0, "kind": "quarantine", "pipeline": P, "rows": [["r3", FILE, "4"]]},
        record(1, "run.created", 1), record(2, "run.published", 1), record(3, "run.succeeded", 1),
        record(4, "run.created", 2), record(5, "run.cancelled", 2, epoch=2),
        record(6, "run.published", 3, epoch=2), record(7, "run.succeeded", 3, epoch=2),
        {"t": 97.0, "kind": "stream", "name": JOURNAL, "opened": 1.0, "open_call_count": 1,
         "last_append": 90.0, "finalized": None, "committed": None},
        {"t": 97.0, "kind": "stream", "name": "projects/local/datasets/north_staging/tables/rows__r2/streams/s",
         "opened": 20.5, "open_call_count": 0, "last_append": 22.5, "finalized": None, "committed": None},
        {"t": 98.0, "kind": "leads", "process": "orchestrator", "epoch": 1, "wall": "2023-11-14T22:13:25+00:00"},
        {"t": 98.0, "kind": "process", "event": "process.died", "process": "orchestrator", "wall": "2023-11-14T22:13:41+00:00"},
        {"t": 98.0, "kind": "leads", "process": "standby", "epoch": 2, "wall": "2023-11-14T22:13:42+00:00"},
        {"t": 99.0, "kind": "left", "what": "staging", "found": [], "expiring": []},
        {"t": 99.0, "kind": "left", "what": "process", "found": []},
        {"t": 13.0, "kind": "fault", "fault": "kill", "at": "orchestrator", "seconds": 0.0},
    ]  # fmt: skip


def find(history: History, kind: str, **facts: Any) -> histories.Entry:
    return next(
        e for e in history if e["kind"] == kind and all(e.get(k) == v for k, v in facts.items())
    )


def add(*entries: histories.Entry) -> Callable[[History], object]:
    return lambda history: history.extend(entries)


def change(kind: str, where: dict[str, Any], **to: Any) -> Callable[[History], object]:
    return lambda history: find(history, kind, **where).update(to)


def written(table: str, last_append: float) -> histories.Entry:
    """A stream of the run that is cancelled at 21."""
    return {"t": 97.0, "kind": "stream", "name": f"projects/local/datasets/north_raw/tables/{table}/streams/s",
            "opened": 20.5, "open_call_count": 0, "last_append": last_append, "finalized": None,
            "committed": None}  # fmt: skip


def stopped(at: str, t: float, seconds: float) -> histories.Entry:
    return {"t": t, "kind": "fault", "fault": "stop", "at": at, "seconds": seconds}


def struck_at(t: float) -> Callable[[History], object]:
    """Ask for one fault, and let the only one be done at `t`."""

    def spoil(history: History) -> None:
        find(history, "begun").update(least={"all": 1})
        find(history, "fault").update(t=t)

    return spoil
