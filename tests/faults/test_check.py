"""The checker against histories made by hand: a good one, and one for each way in which one can be bad."""

import copy
from collections.abc import Callable

import pytest

from tests.faults import check
from tests.faults.by_hand import (
    FILE,
    OLD,
    History,
    P,
    add,
    change,
    delivery,
    find,
    good,
    read,
    record,
    row,
    run,
    stopped,
    struck_at,
    written,
)
from tests.faults.check import runs, violations


def test_a_good_history_has_no_violation() -> None:
    assert violations(good()) == []


BAD: dict[str, tuple[str, Callable[[History], object]]] = {
    "half of a run's rows are seen": ("reads", add(read(33.5, delivery(10, 2)))),
    "rows of both are seen": (
        "reads",
        add({**read(34, OLD), "groups": {FILE: [7, 7, 1, 13, 52]}}),
    ),
    "a row is seen twice": ("reads", add({**read(16, OLD), "groups": {FILE: [4, 3, 1, 3, 7]}})),
    "a cancelled run's rows are seen": ("reads", add(read(24, delivery(5, 5)))),
    "rows are gone after they were published": ("reads", add(read(17, None))),
    "old rows are seen after newer ones were published": ("reads", add(read(41, OLD))),
    "rows are seen before anyone delivered them": ("reads", add(read(8, OLD))),
    "a row is missing at the end": ("rows", lambda h: find(h, "rows")["rows"].pop()),
    "a row is there twice at the end": ("rows", lambda h: find(h, "rows")["rows"].append(row(10, 0))),
    "a row has other money": ("rows", lambda h: find(h, "rows")["rows"][0].__setitem__(4, "1")),
    "a row is not in quarantine": ("quarantine", change("quarantine", {}, rows=[])),
    "a row is in quarantine twice": (
        "quarantine",
        change("quarantine", {}, rows=[["r3", FILE, "4"]] * 2),
    ),
    "quarantine of a run that published nothing": (
        "quarantine",
        lambda h: find(h, "quarantine")["rows"].append(["r2", FILE, "0"]),
    ),
    "an acknowledged run is not there": ("acknowledged", lambda h: h.remove(find(h, "run"))),
    "an acknowledged run is not found by its watcher": (
        "acknowledged",
        add({"t": 14.0, "kind": "seen", "turn": f"{P}#1", "run": run(1), "state": "MISSING"}),
    ),
    "one request id, two runs": (
        "acknowledged",
        add({"t": 11.0, "kind": "answered", "turn": f"{P}#1", "op": "create", "run": run(9), "state": "PENDING"},
            {"t": 95.0, "kind": "run", "run": run(9), "state": "CANCELLED"}),
    ),
    "a cancel was acknowledged and the run was published": (
        "acknowledged",
        add({"t": 11.0, "kind": "answered", "turn": f"{P}#1", "op": "cancel", "run": run(1), "state": "CANCELLING"}),
    ),
    "an approval was acknowledged and the run was cancelled": (
        "acknowledged",
        add({"t": 21.0, "kind": "answered", "turn": f"{P}#2", "op": "approve", "run": run(2), "state": "PUBLISHING"}),
    ),
    "a run is cancelled and later succeeded": (
        "one-outcome",
        change("run", {"run": run(2)}, state="SUCCEEDED"),
    ),
    "a run that ended moves on": (
        "one-outcome",
        add({"t": 60.0, "kind": "seen", "turn": f"{P}#1", "run": run(1), "state": "INGESTING"}),
    ),
    "two ends in the journal": ("one-outcome", add(record(8, "run.cancelled", 1, epoch=2))),
    "published twice": ("one-outcome", add(record(8, "run.published", 1, epoch=2))),
    "a run does not end": ("progress", change("outcome", {"turn": f"{P}#3"}, state="UNFINISHED")),
    "the last run fails": ("progress", change("outcome", {"turn": f"{P}#3"}, state="CANCELLED")),
    **{
        f"a run stays {state}": ("progress", change("outcome", {"turn": f"{P}#2"}, state=state))
        for state in ("HELD", "FAILED", "TRANSFORM_FAILED", "PUBLISHING")
    },
    "a former leader acknowledges a run that is not there": (
        "acknowledged",
        add({"t": 50.0, "kind": "claimed", "process": "orchestrator", "pipeline": P, "run": run(9)}),
    ),
    "a run stands still between two faults": (
        "progress", add({"t": 50.0, "kind": "standing", "turn": f"{P}#1", "seconds": 9.0})),
    "a process does not serve again": (
        "progress",
        add({"t": 80.0, "kind": "ill", "processes": ["quality"]}),
    ),
    "a worker appends after a cancel": ("cancel", change("stream", {"opened": 20.5}, last_append=23.5)),
    "a worker finalizes after a cancel": ("cancel", change("stream", {"opened": 20.5}, finalized=24.0)),
    "a worker appends to the target after a cancel": ("cancel", add(written("rows", 24.0))),
    "a worker appends to quarantine after a cancel": ("cancel", add(written("rows__quarantine", 24.0))),
    "a worker appends after a cancel, quality was stopped": (
        "cancel", add(written("rows", 24.0), stopped("quality", 21.5, 2.0))),
    "a worker appends after a cancel, others were stopped one after another": (
        "cancel", add(written("rows", 26.0), *(stopped("ingest-1", 21.0 + 1.5 * n, 0.5) for n in range(4)))),
    "a worker appends after a cancel, two were stopped at once": (
        "cancel", add(written("rows", 24.6), stopped("ingest-1", 21.5, 1.0), stopped("ingest-2", 21.5, 1.0))),
    "a position is there twice": ("journal", add({**record(7, "run.held", 3, 2), "event": "x"})),
    "an event is there twice": ("journal", add({**record(8, "run.held", 3, 2), "event": "e1"})),
    "a record is lost": ("journal", lambda h: h.remove(find(h, "record", position=4))),
    "an older leader writes after a newer": ("journal", change("record", {"position": 6}, epoch=1)),
    "two leaders at once": (
        "one-leader",
        change("leads", {"epoch": 2}, wall="2023-11-14T22:13:30+00:00"),
    ),
    "a leader says something when the next has begun": (
        "one-leader",
        add({"t": 98.0, "kind": "lived", "process": "orchestrator", "epoch": 1, "wall": "2023-11-14T22:13:42.600+00:00"}),
    ),
    "two leaders of one epoch": ("one-leader", change("leads", {"epoch": 2}, epoch=1)),
    "a staging table is left": ("leaks", change("left", {"what": "staging"}, found=["x.y"], expiring=["x.y"])),
    "a process is left": ("leaks", change("left", {"what": "process"}, found=["1 python"])),
    "a connection is left": ("leaks", change("stream", {"opened": 20.5}, open_call_count=1)),
    "too few faults": ("enough", change("begun", {}, least={"all": 2})),
    **{
        f"a fault {when}": ("enough", struck_at(t))
        for when, t in {"before anything": 9.0, "before the create was answered": 10.15,
                        "after the run": 16.0, "after all runs": 50.0}.items()
    },
    "a broken delivery is published": ("enough", change("turn", {"turn": f"{P}#1"}, scenario="broken")),
    "a kind of fault is missing": ("enough", change("begun", {}, least={"kind": 1})),
    "a process met no signal": ("enough", change("begun", {}, least={"process": 1})),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_found_by_its_rule(name: str) -> None:
    rule, spoil = BAD[name]
    history = copy.deepcopy(good())
    spoil(history)
    assert rule in {violation.rule for violation in violations(history)}


def every_scenario() -> History:
    """One turn more of each scenario, that comes to what it is for."""
    history = good()
    find(history, "begun").update(least={"scenario": 1})
    for n, (scenario, (kind, what)) in enumerate(runs.MET.items(), start=4):
        about = {"turn": f"{P}#{n}", "pipeline": P, "run": run(n)}
        history += [
            {"t": 41.0, "kind": "turn", "scenario": scenario, "last": False, "files": {}, **about},
            {"t": 42.0, "kind": kind, "state": what, "op": what, "failure": "COLUMN_MISSING", **about},
            {"t": 43.0, "kind": "outcome", "state": "CANCELLED", **about},
        ]  # fmt: skip
    return history


@pytest.mark.parametrize("scenario", runs.MET)
def test_a_scenario_that_never_came_to_what_it_is_for_is_found(scenario: str) -> None:
    assert not [found for found in violations(every_scenario()) if found.rule == "enough"]
    history = every_scenario()
    turn = find(history, "turn", scenario=scenario)["turn"]
    history.remove(find(history, runs.MET[scenario][0], turn=turn))
    if scenario == "plain":
        history = [e for e in history if e["kind"] != "seen"]
    texts = [found.text for found in violations(history) if found.rule == "enough"]
    assert any(f"of {scenario} came to" in text for text in texts)


@pytest.mark.parametrize("kind", sorted({kind for kinds in check.NEEDS.values() for kind in kinds}))
def test_what_a_rule_cannot_look_at_is_said_unless_the_history_does_without(kind: str) -> None:
    history = [e for e in good() if e["kind"] != kind]
    assert f"nothing of kind {kind}" in str(violations(history))
    find(history, "begun").update(without=[kind])
    assert f"nothing of kind {kind}" not in str(violations(history))


def test_what_a_stopped_worker_does_late_is_no_violation() -> None:
    history = good()
    change("stream", {"opened": 20.5}, last_append=25.0)(history)
    assert violations([*history, stopped("ingest-1", 21.5, 2.0)]) == []
