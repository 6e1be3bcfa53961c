"""That docs/faults.md says what is injected, written down, checked and found."""

import itertools
import re
from pathlib import Path
from typing import Final

from tests.faults import check
from tests.faults.kinds import KINDS
from tests.faults.load import SCENARIOS
from tests.faults.mutants import MUTANTS

FOLDER: Final = Path("tests/faults")
PAGE: Final = Path("docs/faults.md").read_text(encoding="utf-8")


def rows(head: str) -> dict[str, str]:
    """Return the last cells of the table that begins with a head, by what its first cells name."""
    below = PAGE.partition(f"\n| {head} |")[2].splitlines()[2:]
    lines = itertools.takewhile(lambda line: line.startswith("|"), below)
    cells = [line.strip("| ").split(" | ") for line in lines]
    return {name: row[-1] for row in cells for name in row[0].replace("`", "").split(", ")}


def test_the_page_says_which_rules_find_each_planted_bug() -> None:
    assert rows("Mutant") == {
        name: ", ".join(sorted(mutant.found_by)) for name, mutant in MUTANTS.items()
    }


def test_the_page_names_each_fault_turn_and_rule() -> None:
    assert set(rows("Fault")) == set(KINDS)
    assert set(rows("Turn")) == set(SCENARIOS)
    assert set(rows("Rule")) == set(check.NEEDS)


def test_the_page_names_each_kind_of_entry() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in FOLDER.glob("*.py"))
    written = set(re.findall(r'(?:history\.write|_note)\(\s*"(\w+)"', code))
    assert {"begun", "turn", "stream"} <= written
    assert written - set(rows("Kind")) == set()
