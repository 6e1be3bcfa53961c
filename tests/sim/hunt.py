"""Who shows a planted bug: a seed, or the test that its entry names."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tests.sim.mutants import MUTANTS
from tests.sim.seeds import simulate

CRASH: Final = "no-crash"
"""A story that ends by a crash shows no bug: the planted code may have crashed by itself."""

TESTS_FAILED: Final = 1
"""What pytest exits with when tests ran and one failed; other errors show nothing."""


def first_broken(name: str) -> str:
    """Return which seed shows a planted bug, and how; empty if none of those that should does."""
    mutant = MUTANTS[name]
    with mutant.plant():
        for seed in range(1, mutant.seeds + 1):
            broken = simulate(seed).broken
            if broken and not broken.startswith(CRASH):
                return f"seed {seed}: {broken[:200]}"
    return ""


def failing_test(name: str) -> str:
    """Return the named test of a planted bug if it fails with the bug; empty if it does not."""
    test = MUTANTS[name].test
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.sim.planted", test]
    done = subprocess.run(
        command, env={**os.environ, "PLANTED": name}, stdout=subprocess.DEVNULL, check=False
    )
    return f"{test} fails" if done.returncode == TESTS_FAILED else ""


def shown(name: str) -> str:
    """Return who shows a planted bug, of the seeds and the test that its entry has."""
    return first_broken(name) if MUTANTS[name].seeds else failing_test(name)


def hunted(names: Iterable[str], find: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Yield the planted bugs and who finds each, found on all cores."""
    asked = list(names)
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        yield from zip(asked, pool.imap(find, asked), strict=True)
