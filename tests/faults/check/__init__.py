"""The checker: reads a history's files and proves what was promised of it, with no process left to ask."""

import collections
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.faults import histories
from tests.faults.check import meshes, runs, tables
from tests.faults.check.accounts import Account, Violation
from tests.faults.kinds import SIGNALS
from tests.faults.mutants import MUTANTS

RULES: Final[tuple[Callable[[Account], Iterator[Violation]], ...]] = (
    tables.reads,
    tables.rows,
    tables.quarantine,
    runs.acknowledged,
    runs.one_outcome,
    runs.progress,
    runs.scenarios,
    runs.cancel,
    meshes.journal,
    meshes.one_leader,
    meshes.leaks,
    meshes.enough,
)
NEEDS: Final = {
    "reads": ("read",),
    "rows": ("rows",),
    "quarantine": ("quarantine",),
    "acknowledged": ("run",),
    "one-outcome": ("run", "record"),
    "progress": ("outcome",),
    "cancel": ("stream",),
    "journal": ("record",),
    "one-leader": ("leads", "process"),
    "leaks": ("left", "stream"),
    "enough": ("fault", "member"),
}
"""By rule: the kinds without which it has nothing to look at."""

SHOWN: Final = 8


def unseen(account: Account) -> Iterator[Violation]:
    """What a rule looks at is there, unless the history says that it does `without`."""
    without = account.begun.get("without", ())
    for rule, kinds in NEEDS.items():
        for kind in kinds:
            if not account.of[kind] and kind not in without:
                yield Violation("enough", f"nothing of kind {kind}: {rule} has nothing to look at")


def violations(entries: Iterable[histories.Entry]) -> list[Violation]:
    """Return everything that a history shows to be wrong."""
    account = Account(entries)
    return [violation for rule in (*RULES, unseen) for violation in rule(account)]


def about(found: Iterable[Violation], mutant: str) -> list[str]:
    """Return the rules that have found a planted bug, and not only that something is wrong."""
    by = MUTANTS[mutant].found_by
    return sorted({v.rule for v in found if v.rule in by and by[v.rule] in v.text})


def report(folder: Path, mutant: str = "") -> int:
    """Print what a history shows; return 1 if something is wrong, of a planted bug if it was found."""
    entries = list(histories.read(folder))
    print(summary(Account(entries)))
    found = violations(entries)
    by_rule: dict[str, list[Violation]] = collections.defaultdict(list)
    for violation in found:
        by_rule[violation.rule].append(violation)
    for rule, of_rule in by_rule.items():
        print(f"{rule}: {len(of_rule)}")
        for violation in of_rule[:SHOWN]:
            print(f"  {violation.text}")
    if mutant:
        rules = about(found, mutant)
        print(f"{mutant}: {'found by ' + ', '.join(rules) if rules else 'NOT FOUND'}")
        return 1 if rules else 0
    if not found:
        print("no violation")
    return 1 if found else 0


def summary(account: Account) -> str:
    """Return what happened, in numbers."""
    counted = account.faults
    kinds = collections.Counter(e["fault"] for e in counted)
    places = collections.Counter(e["at"] for e in counted if e["fault"] in SIGNALS)
    states = collections.Counter(turn.state for turn in account.turns.values())
    read = [e for e in account.of["read"] if "error" not in e]
    lines = (
        f"{len(counted)} faults while a run was under way ({len(account.of['fault'])} in all)",
        f"  by kind: {_shown(kinds)}",
        f"  signals: {_shown(places)}",
        f"{len(account.turns)} turns: {_shown(states)}",
        f"{len(read)} reads answered, {len(account.of['read']) - len(read)} not",
        f"{len(account.of['record'])} records, {len(account.of['leads'])} leaderships",
        f"{len(account.of['woken'])} robbed leaders woke up, {len(account.of['claimed'])} answered with a run",
        f"{len(meshes.excused(account))} staging tables left to expire by a fault",
    )
    blind = [rule for rule, kinds in NEEDS.items() if not all(account.of[kind] for kind in kinds)]
    return "\n".join([*lines, *([f"looked at in part: {', '.join(blind)}"] if blind else [])])


def _shown(counts: "collections.Counter[str]") -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
