"""The gate's judgement of a history, schedules, and what tables must hold."""

from decimal import Decimal

from tests.faults import gate, models, sources
from tests.faults.by_hand import P, change, delivery, good, read
from tests.faults.kinds import KINDS, SIGNALS
from tests.faults.mesh import PROCESSES
from tests.faults.nemesis import places, strikes
from tests.faults.sources import Delivery

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
