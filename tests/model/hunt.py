"""Which placement shows a planted bug."""

from tests.model.explorer import explore, said
from tests.sim.hunt import CRASH
from tests.sim.mutants import MUTANTS


def first_broken(name: str) -> str:
    """Return the first placement that shows a planted bug, and how; empty if there is none."""
    mutant = MUTANTS[name]
    with mutant.plant():
        found = explore(mutant.world, mutant.faults, stop=True)
    if not found.broken or found.broken[0].broken.startswith(CRASH):
        return ""
    faults = said(found.broken[0]) or "no fault"
    return (
        f"{mutant.world}; {faults}: {found.broken[0].broken[:160]} ({found.executions} executions)"
    )
