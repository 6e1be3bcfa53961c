"""`python -m tests.faults.gate`: every planted bug is found by the faults that it is weak against, and none without one."""

import argparse
import asyncio
import itertools
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.faults import check, histories
from tests.faults.campaign import Plan, a_few, conduct
from tests.faults.mutants import MUTANTS
from tests.faults.nemesis import JOURNAL, LEADER, Strike
from tests.faults.robbery import LEADING

SECONDS = 60.0
ROUNDS = 8
SCHEDULES: Final[dict[str, tuple[Strike, ...]]] = {
    "answers_before_it_is_flushed": (
        Strike("grpc_slow", JOURNAL, 20, 6.0),
        Strike("kill", LEADER, 40, 0.0),
    ),
    "lock_not_held": (Strike("kill", "quality", 30, 0.0),),
    "predecessor_not_sealed": (Strike("usurp", LEADING, 60, 0.5),),
    "lost_commit_is_failure": (Strike("grpc_lost", "BatchCommitWriteStreams", 40, 0.0),),
    "appends_without_offset": (Strike("grpc_lost", JOURNAL, 10, 0.0),),
    "finalizes_too_early": (Strike("grpc_slow", "AppendRows", 10, 1.0),),
    "deaf_to_cancel": (Strike("kill", "quality", 40, 0.0),),
    "child_left_behind": (Strike("term", "ingest-1", 30, 0.0),),
    "log_not_synced": (Strike("kill", "bigquery", 60, 0.0),),
}
"""The faults that each is weak against, again and again; `make faults MUTANT=…` finds them among all."""


CONTROL: Final = "control"
"""The faults of all, one after another, and no planted bug: nothing is found."""


def plan(name: str, folder: Path, *, seed: str, scale: float) -> Plan:
    """Return the campaign that a mutant must fail, and the control must not."""
    return Plan(
        folder=folder,
        seed=seed,
        seconds=SECONDS * scale,
        rounds=ROUNDS,
        calm=name == CONTROL,
        schedule=SCHEDULES.get(name) or tuple(itertools.chain(*SCHEDULES.values())),
        script=("plain", *["cancel_slow"] * 3) if name == "deaf_to_cancel" else (),
        pipelines=a_few(),
        mutant="" if name == CONTROL else name,
        patience=45.0 * scale,
        scale=scale,
    )


def shortcoming(name: str, entries: Iterable[histories.Entry]) -> str:
    """Return why a history does not show that the gate finds a mutant, or that it finds nothing in the control."""
    history = list(entries)
    found = check.violations(history)
    if not any(e["kind"] == "loaded" for e in history):
        return "NEVER SERVED"
    if name == CONTROL:
        return "NOT CLEAN" if found else ""
    return "" if check.about(found, name) else "NOT FOUND"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.gate", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", default="gate")
    parser.add_argument("--folder", type=Path, default=Path(".faults"))
    parser.add_argument("names", nargs="*", default=[CONTROL, *MUTANTS])
    given = parser.parse_args()
    missed = []
    for name in given.names:
        folder = (given.folder / f"gate-{name}").resolve()
        shutil.rmtree(folder, ignore_errors=True)
        asyncio.run(conduct(plan(name, folder, seed=given.seed, scale=given.scale)))
        rules = sorted({v.rule for v in check.violations(histories.read(folder))})
        short = shortcoming(name, histories.read(folder))
        print(f"{name}: {short or 'as it must be'}; {', '.join(rules) or 'nothing'}", flush=True)
        missed += [name] if short else []
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
