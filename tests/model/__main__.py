"""Explore the small worlds on all cores, or look for the planted bugs in them."""

import argparse
import functools
import multiprocessing
import os
import sys

from tests.model.explorer import explore, said
from tests.model.hunt import first_broken
from tests.model.small import SMALL
from tests.sim.figures import machine
from tests.sim.hunt import hunted
from tests.sim.mutants import MUTANTS

SHOWN = 5
"""Broken placements that are printed of a small world."""


def all_worlds(most: int) -> int:
    """Explore every small world; return the exit code."""
    total, states, broken, cpu = 0, 0, 0, 0.0
    print(
        "| World | Executions | Left out | States | Calls | Broken | CPU |\n| --- |" + " ---: |" * 6
    )
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        for found in pool.imap(functools.partial(explore, most=most), SMALL):
            total += found.executions
            states += len(found.states)
            broken += len(found.broken)
            cpu += found.cpu_seconds
            print(
                f"| {found.name} | {found.executions:,} | {found.left_out:,} | {len(found.states):,} |"
                f" {found.longest} | {len(found.broken)} | {found.cpu_seconds:.0f} s |",
                flush=True,
            )
            for one in found.broken[:SHOWN]:
                print(f"    {said(one)}: {one.broken[:400]}")
    print(
        f"\nup to {most} faults: {total:,} executions, {states:,} states, {broken} broken, "
        f"{cpu:.0f} s of CPU; {machine()}"
    )
    return 1 if broken else 0


def wrong(only: str) -> int:
    """Show which placement finds each planted bug that the explorer is to find; return the exit code."""
    names = [x for x, one in MUTANTS.items() if one.world and only in x]
    missed = 0
    for name, found in hunted(names, first_broken):
        missed += not found
        print(f"{name}: {found or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=2)
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    return wrong(asked.only) if asked.mutants else all_worlds(asked.faults)


if __name__ == "__main__":
    sys.exit(main())
