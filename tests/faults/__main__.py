"""`python -m tests.faults`: faults of real processes for MINUTES, then the check of what was seen."""

import argparse
import asyncio
import shutil
import sys
import time
from pathlib import Path

from tests.faults import check
from tests.faults.campaign import Plan, conduct, everything
from tests.faults.mutants import MUTANTS

FAULTS_A_MINUTE = 17
"""At least: 500 in half an hour."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", default="")
    parser.add_argument("--mutant", default="", choices=["", *MUTANTS])
    parser.add_argument("--scale", type=float, default=1.0, help="how much slower this machine is")
    parser.add_argument("--folder", type=Path, default=Path(".faults"))
    given = parser.parse_args()
    seed = given.seed or str(int(time.time()))
    folder = (given.folder / f"{seed}{given.mutant and '-' + given.mutant}").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    print(f"seed {seed}: history in {folder}", flush=True)
    plan = Plan(
        folder=folder,
        seed=seed,
        seconds=60 * given.minutes,
        pipelines=everything(),
        mutant=given.mutant,
        scale=given.scale,
        patience=180.0 * given.scale,
        least=least(given.minutes) if not given.mutant else {},
    )
    asyncio.run(conduct(plan))
    return check.report(folder, given.mutant)


def least(minutes: float) -> dict[str, int]:
    """Return the least numbers of faults, and of each scenario, of a campaign of so many minutes."""
    return {
        "all": int(FAULTS_A_MINUTE * minutes),
        "kind": max(1, int(minutes / 4)),
        "process": max(1, int(minutes / 4)),
        "scenario": max(1, int(minutes / 10)),
    }


if __name__ == "__main__":
    sys.exit(main())
