"""A slice of `make model`: every placement of one fault in two small worlds; and that it can fail."""

from pathlib import Path

import pytest

from tests.model.explorer import explore
from tests.model.hunt import first_broken
from tests.model.small import SMALL
from tests.sim.mutants import MUTANTS, table

SLICE = ("direct", "replace, cancelled while it is read")


@pytest.mark.parametrize("name", SLICE)
def test_no_placement_of_one_fault_breaks_a_promise(name: str) -> None:
    found = explore(name, 1)
    assert [(one.faults, one.broken) for one in found.broken] == []
    assert found.executions > 100


def test_two_explorations_see_the_same_states() -> None:
    assert explore("direct", 0).states == explore("direct", 0).states


@pytest.mark.parametrize(
    "name", ["do not announce the journal's stream", "acknowledge before the append returns"]
)
def test_a_planted_bug_is_found(name: str) -> None:
    assert first_broken(name)


def test_each_planted_bug_is_found_by_somebody_in_a_world_that_there_is() -> None:
    assert all(mutant.world or mutant.seeds or mutant.test for mutant in MUTANTS.values())
    assert {mutant.world for mutant in MUTANTS.values()} - {""} <= set(SMALL)


def test_the_page_on_reliability_names_every_planted_bug_and_who_finds_it() -> None:
    assert table() in Path("docs/reliability.md").read_text(encoding="utf-8")


def test_each_bug_that_a_seed_has_shown_is_planted() -> None:
    page = Path("tests/faults/README.md").read_text(encoding="utf-8")
    lines = page.partition("| Planted as |\n")[2].splitlines()[1:]
    planted = [name for line in lines for name in line.strip("| ").split(" | ")[-1].split("; ")]
    assert set(planted) <= set(MUTANTS)
    assert planted
