"""What is no violation although it looks like one: leaders that were robbed, tables that a fault has left to expire."""

import copy

from tests.faults import histories
from tests.faults.by_hand import History, change, good, run
from tests.faults.check import violations

LEFT, SILVER = "north_staging.rows__r3", "north_staging.silver__r3_1"


def robbed(process: str, t: float, *, announced: bool = True) -> histories.Entry:
    return {"t": t, "kind": "robbed", "process": process, "announced": announced}


def expiring(table: str) -> History:
    """A good history, but for a staging table that is left to expire."""
    history = good()
    change("left", {"what": "staging"}, found=[table], expiring=[table])(history)
    return history


def process(event: str, name: str, wall: str) -> histories.Entry:
    """A start or an end of a process, at a minute and second of the hour in which all is."""
    return {"t": 98.0, "kind": "process", "event": f"process.{event}", "process": name,
            "wall": f"2023-11-14T22:{wall}+00:00"}  # fmt: skip


def test_a_leader_that_was_robbed_of_its_lease_may_be_alive() -> None:
    history = good()
    change("leads", {"epoch": 2}, wall="2023-11-14T22:13:30+00:00")(history)
    assert violations(history)
    assert violations([*history, robbed("orchestrator", 11.0)]), "it was robbed too late"
    assert violations([*history, robbed("standby", 8.0)]), "another was robbed"
    assert violations([*history, robbed("orchestrator", 8.0)]) == []


def test_who_was_robbed_before_it_said_that_it_leads_may_say_so_when_it_wakes() -> None:
    """Unless it had not even said where its journal is: then nobody could seal it."""
    history = good()
    change("leads", {"epoch": 1}, wall="2023-11-14T22:13:44+00:00")(history)
    change("process", {"process": "orchestrator"}, wall="2023-11-14T22:13:46+00:00")(history)
    started = process("started", "orchestrator", "13:35")
    assert violations([*history, started])
    assert violations([*history, started, robbed("orchestrator", 14.0)]), "of a former process"
    assert violations([*history, started, robbed("orchestrator", 18.0, announced=False)])
    assert violations([*history, started, robbed("orchestrator", 18.0)]) == []


def test_a_staging_table_that_could_not_be_dropped_expires() -> None:
    history = expiring(LEFT)
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
    history = expiring(SILVER)
    assert violations(history)
    assert violations([*history, process("died", "orchestrator", "14:00")])
    assert violations([*history, process("died", "standby", "14:00")]) == []


def test_a_staging_table_that_a_robbed_leader_made_anew_expires() -> None:
    history = expiring(LEFT)
    assert violations([*history, robbed("standby", 1.0)])
    assert violations([*history, robbed("standby", 29.0)]), "the run was not there yet"
    assert violations([*history, robbed("standby", 31.0, announced=False)]), "it did not lead"
    it = robbed("standby", 31.0)
    assert violations([*history, it]) == []
    awake = {"t": 31.5, "kind": "woken", "process": "standby"}
    assert violations([*history, it, awake]) == []
    slow = copy.deepcopy(history)
    change("seen", {"run": run(3)}, t=65.0)(slow)
    assert violations([*slow, it, awake])
    assert violations([*slow, it, {**awake, "t": 60.0}]) == []


def test_a_staging_table_that_never_expires_is_a_leak_whatever_left_it() -> None:
    history = expiring(LEFT)
    history.append(robbed("standby", 31.0))
    assert violations(history) == []
    change("left", {"what": "staging"}, expiring=[])(history)
    assert [found.rule for found in violations(history)] == ["leaks"]
