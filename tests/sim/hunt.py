"""Which seed shows a planted bug."""

from tests.sim.mutants import MUTANTS
from tests.sim.seeds import simulate


def first_broken(name: str) -> str:
    """Return which seed shows a planted bug, and how; empty if none of those that should does."""
    mutant = MUTANTS[name]
    with mutant.plant():
        for seed in range(1, (mutant.seeds or 0) + 1):
            if broken := simulate(seed).broken:
                return f"seed {seed}: {broken[:200]}"
    return ""
