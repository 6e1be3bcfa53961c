"""Tell the stories of many seeds on all cores, or that of one seed step by step."""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from tests.sim import coverage, mutants
from tests.sim.figures import machine
from tests.sim.hunt import hunted, shown
from tests.sim.seeds import Outcome, Tally, simulate, tally

ROUND = 100
"""Seeds that a process takes at once."""

SHOWN = 20
"""Failing seeds that are printed."""

ENOUGH = 5_000
"""Seeds after which an empty cell of the table is a failure."""


def rounds(first: int, count: int) -> Iterator[range]:
    end = first + count
    return (range(n, min(n + ROUND, end)) for n in range(first, end, ROUND))


def many(first: int, count: int) -> int:
    """Tell `count` stories; return the exit code."""
    begun, found = time.monotonic(), Tally()
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        for part in pool.imap_unordered(tally, rounds(first, count)):
            found.join(part)
            seconds = time.monotonic() - begun
            if found.seeds % 1000 == 0 or found.seeds == count:
                print(
                    f"{found.seeds} seeds, {len(found.broken)} broken, {seconds:.0f} s", flush=True
                )
    print(f"\n{coverage.table(found.met)}\n\n{coverage.plans(found.planned)}\n")
    print(
        f"{found.seeds} seeds from {first}: {found.runs} runs (at least {found.fewest_runs} a seed), "
        f"{found.faults} faults (at least {found.fewest_faults}), {found.led_anew} with a change of "
        f"leader, {found.overlapped} with two leaders at once, {found.looks} looks of readers, {found.waived} leaks "
        f"that a late copy or a former leader has made; "
        f"{time.monotonic() - begun:.0f} s, {found.cpu_seconds:.0f} s of CPU; {machine()}"
    )
    for seed, broken in sorted(found.broken)[:SHOWN]:
        print(f"seed {seed} BROKEN {broken[:600]}\n    make sim SEED={seed}")
    gaps = coverage.empty(found.met) + coverage.unmet(found.planned)
    if gaps:
        print(f"{len(gaps)} cells are empty: {', '.join(gaps)}")
    return 1 if found.broken or (gaps and count >= ENOUGH) else 0


def one(seed: int) -> int:
    """Tell one story step by step; return the exit code."""
    outcome: Outcome = simulate(seed)
    print("\n".join(outcome.story))
    print(f"seed {seed}: {f'BROKEN {outcome.broken}' if outcome.broken else 'all promises kept'}")
    return 1 if outcome.broken else 0


def wrong(only: str) -> int:
    """Show which seed or named test finds each of the planted bugs; return the exit code."""
    entries = mutants.MUTANTS.items()
    names = [x for x, one in entries if (one.seeds or one.test) and only in x]
    missed = 0
    for name, found in hunted(names, shown):
        missed += not found
        print(f"{name}: {found or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    if asked.seed is not None:
        return one(asked.seed)
    if asked.mutants:
        return wrong(asked.only)
    return many(asked.first, asked.seeds)


if __name__ == "__main__":
    sys.exit(main())
