"""`python -m tests.faults.gate`: every planted bug is found by the faults that it is weak against."""

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

from tests.faults import check, histories
from tests.faults.campaign import Plan, a_few, conduct
from tests.faults.mutants import MUTANTS
from tests.faults.nemesis import LEADER, Strike, strikes

SECONDS = 60.0
AFTER = 20
SCHEDULES = {
    "answers_before_it_is_flushed": (("grpc_slow", "AppendRows"), ("kill", LEADER)),
    "lock_not_held": (("kill", "quality"),),
    "predecessor_not_sealed": (("usurp", "orchestrator"),),
    "lost_commit_is_failure": (("grpc_lost", "BatchCommitWriteStreams"),),
    "appends_without_offset": (("grpc_lost", "AppendRows"),),
    "finalizes_too_early": (("cut", "bigquery_grpc"),),
    "deaf_to_cancel": (("kill", "quality"),),
    "child_left_behind": (("term", "ingest-1"),),
    "log_not_synced": (("kill", "bigquery"),),
}
"""What finds each, again and again; `make faults MUTANT=…` finds them among all faults."""


def plan(name: str, folder: Path, *, seed: str, scale: float) -> Plan:
    """Return the campaign that a mutant must fail."""
    aimed = [Strike(kind, at, AFTER, 2.0) for kind, at in SCHEDULES[name]]
    return Plan(
        folder=folder,
        seed=seed,
        seconds=SECONDS * scale,
        rounds=8,
        schedule=aimed or strikes(seed, gap=AFTER),
        script=("plain", *["cancel_slow"] * 3) if name == "deaf_to_cancel" else (),
        pipelines=a_few(),
        mutant=name,
        patience=45.0 * scale,
        scale=scale,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.gate", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", default="gate")
    parser.add_argument("--folder", type=Path, default=Path(".faults"))
    parser.add_argument("names", nargs="*", default=list(MUTANTS))
    given = parser.parse_args()
    missed = []
    for name in given.names:
        folder = (given.folder / f"gate-{name}").resolve()
        shutil.rmtree(folder, ignore_errors=True)
        asyncio.run(conduct(plan(name, folder, seed=given.seed, scale=given.scale)))
        found = {v.rule for v in check.violations(histories.read(folder))}
        expected = set(MUTANTS[name].found_by)
        mark = "found" if found & expected else "NOT FOUND"
        print(f"{name}: {mark} by {', '.join(sorted(found)) or 'nothing'}", flush=True)
        missed += [] if found & expected else [name]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
