"""What is no violation although it looks like one: leaders that were robbed, tables that a fault has left to expire."""

import copy

from tests.faults.by_hand import change, good, run
from tests.faults.check import violations

LEFT, SILVER = "north_staging.rows__r3", "north_staging.silver__r3_1"


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


def test_a_staging_table_that_never_expires_is_a_leak_whatever_left_it() -> None:
    history = good()
    change("left", {"what": "staging"}, found=[LEFT], expiring=[LEFT])(history)
    history.append({"t": 31.0, "kind": "fault", "fault": "usurp", "at": "standby", "seconds": 1.0})
    assert violations(history) == []
    change("left", {"what": "staging"}, expiring=[])(history)
    assert [found.rule for found in violations(history)] == ["leaks"]
