"""The checker against histories made by hand: a good one, and one for each way in which one can be bad."""

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.faults import check, gate, histories, models, sources
from tests.faults.check import runs, violations
from tests.faults.kinds import KINDS, SIGNALS
from tests.faults.mesh import PROCESSES, members
from tests.faults.nemesis import places, strikes
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


def test_a_good_history_has_no_violation() -> None:
    assert violations(good()) == []


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
        find(history, "fault").update(t=t, live=1)

    return spoil


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


LEFT, SILVER = "north_staging.rows__r3", "north_staging.silver__r3_1"
LOADED = {"t": 5.0, "kind": "loaded"}


def test_a_planted_bug_is_found_by_what_is_about_it_alone() -> None:
    broken = good()
    change("outcome", {"turn": f"{P}#3"}, state="UNFINISHED")(broken)
    change("record", {"position": 6}, epoch=1)(broken)
    stuck = good()
    change("outcome", {"turn": f"{P}#3"}, state="UNFINISHED")(stuck)
    name = "predecessor_not_sealed"
    assert gate.shortcoming(name, [*broken, LOADED]) == ""
    assert gate.shortcoming(name, [*stuck, LOADED]) == "NOT FOUND"
    assert gate.shortcoming("appends_without_offset", [*broken, LOADED]) == "NOT FOUND"


def test_a_planted_bug_whose_process_never_served_is_not_found() -> None:
    history = good()
    change("record", {"position": 6}, epoch=1)(history)
    assert gate.shortcoming("predecessor_not_sealed", history) == "NEVER SERVED"


def test_the_control_is_clean() -> None:
    assert gate.shortcoming(gate.CONTROL, [*good(), LOADED]) == ""
    assert gate.shortcoming(gate.CONTROL, [*good(), LOADED, read(17, None)]) == "NOT CLEAN"
    assert gate.shortcoming(gate.CONTROL, good()) == "NEVER SERVED"


def test_a_leader_that_was_robbed_of_its_lease_may_be_alive() -> None:
    history = good()
    change("leads", {"epoch": 2}, wall="2023-11-14T22:13:30+00:00")(history)
    usurped = {
        "t": 8.0,
        "kind": "fault",
        "fault": "usurp",
        "at": "orchestrator",
        "seconds": 1.0,
    }
    assert violations([*history, usurped]) == []


def test_a_staging_table_that_could_not_be_dropped_expires() -> None:
    history = good()
    change("left", {"what": "staging"}, found=[LEFT], expiring=[LEFT])(history)
    said = {
        "t": 97.0,
        "kind": "untidied",
        "wall": "2023-11-14T22:13:56+00:00",
        "cause": "(could not drop table local.north_staging.rows__r3): x",
    }
    refused = {
        "t": 34.0,
        "kind": "fault",
        "fault": "rest_503",
        "at": "bigquery_rest",
        "seconds": 0.0,
    }
    assert violations(history)
    assert violations([*history, said])
    assert violations([*history, said, {**refused, "t": 20.0}])
    assert violations([*history, said, {**refused, "at": "auth", "fault": "cut"}])
    assert violations([*history, said, refused]) == []


def test_a_staging_table_that_its_leader_died_over_expires() -> None:
    history = good()
    change("left", {"what": "staging"}, found=[SILVER], expiring=[SILVER])(history)
    died = {
        "t": 98.0,
        "kind": "process",
        "event": "process.died",
        "process": "standby",
        "wall": "2023-11-14T22:14:00+00:00",
    }
    assert violations(history)
    assert violations([*history, {**died, "process": "orchestrator"}])
    assert violations([*history, died]) == []


def test_a_staging_table_that_a_robbed_leader_made_anew_expires() -> None:
    history = good()
    change("left", {"what": "staging"}, found=[LEFT], expiring=[LEFT])(history)
    robbed = {
        "t": 31.0,
        "kind": "fault",
        "fault": "usurp",
        "at": "standby",
        "seconds": 1.0,
    }
    assert violations([*history, {**robbed, "t": 1.0}])
    assert violations([*history, {**robbed, "t": 29.0}]), "the run was not there yet"
    assert violations([*history, {**robbed, "at": "orchestrator"}]), "it did not lead"
    assert violations([*history, robbed]) == []
    awake = {"t": 31.5, "kind": "woken", "process": "standby"}
    assert violations([*history, robbed, awake]) == []
    slow = copy.deepcopy(history)
    change("seen", {"run": run(3)}, t=65.0)(slow)
    assert violations([*slow, robbed, awake])
    assert violations([*slow, robbed, {**awake, "t": 60.0}]) == []


@pytest.mark.parametrize("kind", sorted({kind for kinds in check.NEEDS.values() for kind in kinds}))
def test_what_a_rule_cannot_look_at_is_said_unless_the_history_does_without(kind: str) -> None:
    history = [e for e in good() if e["kind"] != kind]
    assert f"nothing of kind {kind}" in str(violations(history))
    find(history, "begun").update(without=[kind])
    assert f"nothing of kind {kind}" not in str(violations(history))


def test_a_staging_table_that_never_expires_is_a_leak_whatever_left_it() -> None:
    history = good()
    change("left", {"what": "staging"}, found=[LEFT], expiring=[LEFT])(history)
    history.append({"t": 31.0, "kind": "fault", "fault": "usurp", "at": "standby", "seconds": 1.0})
    assert violations(history) == []
    change("left", {"what": "staging"}, expiring=[])(history)
    assert [found.rule for found in violations(history)] == ["leaks"]


def test_what_a_stopped_worker_does_late_is_no_violation() -> None:
    history = good()
    change("stream", {"opened": 20.5}, last_append=25.0)(history)
    stopped = {
        "t": 21.5,
        "kind": "fault",
        "fault": "stop",
        "at": "ingest-1",
        "seconds": 2.0,
    }
    assert violations([*history, stopped]) == []


def test_states_of_a_merge_are_the_highest_version_of_each_key() -> None:
    first = {"f1": Delivery(first=1, good=3, version=1, key=0).facts()}
    second = {"f2": Delivery(first=10, good=2, version=2, key=1).facts()}
    state = models.published("merge", models.published("merge", {}, first), second)
    assert state == {"f1": ((1, 0, 1),), "f2": ((10, 1, 2), (11, 2, 2))}


def test_an_append_counts_a_file_once() -> None:
    first = models.published("append", {}, {"f1": delivery(1, 2)})
    assert models.published("append", first, {"f1": delivery(50, 9)}) == first


def test_a_seed_gives_one_schedule_which_has_every_kind_and_kills_every_process() -> None:
    made = strikes("7", gap=20)
    assert made == strikes("7", gap=20)
    assert made != strikes("8", gap=20)
    assert {strike.kind for strike in made} == set(KINDS)
    assert {strike.at for strike in made if strike.kind == "kill"} == set(PROCESSES)
    assert all(strike.at in places(strike.kind) for strike in made)
    assert set(SIGNALS) <= set(KINDS)


def test_generated_money_is_exact() -> None:
    assert sources.cost(1234567) == Decimal("48.001234567")
