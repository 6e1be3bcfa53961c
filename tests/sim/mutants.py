"""Bugs that are planted to see that they are found: each makes the orchestrator break one promise."""

import dataclasses
from typing import Final

from services.orchestrator.backfills import runner
from services.orchestrator.backfills.backfill import Backfills
from services.orchestrator.backfills.runner import BackfillRunner
from services.orchestrator.conductor import (
    assignments,
    auditing,
    conductor,
    ingesting,
    planning,
    publishing,
    transforming,
)
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournal
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.schedules import schedules
from services.orchestrator.schedules.scheduler import Scheduler
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from tests.sim import bugs, network
from tests.sim.bugs import Planting, both, replaced
from tests.sim.neighbours import LeaseElection, SimWarehouse


@dataclasses.dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug, and who finds it."""

    plant: Planting
    world: str
    """The small world in which the explorer finds it; empty: it does not."""
    faults: int = 1
    """How many faults it takes there."""
    seeds: int = 200
    """Within how many seeds the simulation finds it; 0: it does not."""
    test: str = ""
    """Who finds it where neither does."""


MUTANTS: Final[dict[str, Mutant]] = {
    "acknowledge before the append returns": Mutant(
        replaced(History, "settled", bugs.at_once), "append", seeds=20
    ),
    "journal decisions out of order": Mutant(
        replaced(History, "_take_group", bugs.backwards), "append, two pipelines at once", seeds=20
    ),
    "do not seal the predecessor's stream": Mutant(
        replaced(MemoryJournal, "open", bugs.unsealed), "append", seeds=20
    ),
    "do not announce the journal's stream": Mutant(
        replaced(LeaseElection, "announce", bugs.unannounced), "append", seeds=20
    ),
    "read the journal before the predecessor's stream is sealed": Mutant(
        replaced(MemoryJournal, "open", bugs.read_first), "append", seeds=20
    ),
    "begin a phase before its decision is durable": Mutant(
        replaced(Conductor, "_drive", bugs.eager),
        "",
        seeds=0,
        test="tests/unit/orchestrator/conductor/test_former_leader.py",
    ),
    "leave the open runs of a predecessor alone": Mutant(
        replaced(Conductor, "resume", bugs.idle), "append", seeds=20
    ),
    "forget request ids at a restart": Mutant(
        replaced(History, "load", bugs.forgetful), "append", seeds=20
    ),
    "never ask whether the leader still leads": Mutant(
        replaced(conductor, "FENCED_EVERY", 1 << 60),
        "",
        seeds=0,
        test="tests/unit/orchestrator/conductor/test_former_leader.py",
    ),
    "number tries alike in each epoch": Mutant(
        replaced(assignments, "TRIES_PER_EPOCH", 0), "", seeds=200
    ),
    "accept the rows of any try": Mutant(
        both(replaced(auditing, "_count_staging", bugs.believing), bugs.GREEDY), "append", seeds=20
    ),
    "commit streams that the journal does not name yet": Mutant(
        both(replaced(ingesting, "_Committer", bugs.Whole), bugs.GREEDY),
        "",
        seeds=0,
        test="tests/unit/orchestrator/conductor/test_former_leader.py",
    ),
    "take a later epoch's rows for strays": Mutant(
        replaced(MemoryWarehouse, "delete_strays", bugs.all_strays),
        "",
        seeds=0,
        test="tests/contracts/test_warehouse.py",
    ),
    "do not miss rows whose stream has ended": Mutant(
        both(
            replaced(auditing, "_count_staging", bugs.nothing_lost),
            replaced(auditing, "_count_streams", bugs.nothing_lost),
        ),
        "append",
        seeds=20,
    ),
    "do not miss quarantine whose stream has ended": Mutant(
        replaced(auditing, "_count_quarantine", bugs.nothing_lost), "append", seeds=20
    ),
    "show quarantine that the journal does not name yet": Mutant(
        replaced(Conductor, "_end", bugs.end_at_once),
        "",
        seeds=0,
        test="tests/unit/orchestrator/conductor/test_former_leader.py",
    ),
    "publish lost money without approval": Mutant(
        replaced(auditing, "money_reasons", lambda _: []), "replace, held and approved", seeds=20
    ),
    "forget the table's lock": Mutant(
        replaced(publishing.TableLocks, "take", bugs.unlocked),
        "append, two pipelines at once",
        seeds=20,
    ),
    "publish without asking for the newest look": Mutant(
        replaced(Ledger, "newest", bugs.all_mine), "", seeds=50
    ),
    "publish inputs again that were published before": Mutant(
        both(
            replaced(planning, "sort_inputs", lambda *_, **__: ([], ())),
            replaced(Ledger, "inputs_of", lambda *_: {}),
        ),
        "append, two transforms",
        seeds=20,
    ),
    "publish before the intent is durable": Mutant(
        replaced(Mesh, "record", bugs.hasty), "replace, held and approved", seeds=20
    ),
    "record the outcome before the effect": Mutant(
        replaced(publishing, "publish", bugs.outcome_first), "append", seeds=20
    ),
    "take a lost answer for a failure": Mutant(
        replaced(conductor, "ends", bugs.lost_is_failed), "append", seeds=20
    ),
    "do not settle the predecessor's job": Mutant(
        replaced(publishing, "publish", bugs.taken_for_done), "append", seeds=20
    ),
    "believe a commit whose streams are gone": Mutant(
        replaced(SimWarehouse, "commit_target", bugs.surely), "direct", seeds=20
    ),
    "let a cancel win over a publication": Mutant(bugs.cancellable(), "", seeds=20),
    "leave a call alone when its caller is cancelled": Mutant(
        replaced(network, "ended", bugs.abandoned), "replace, cancelled while it is read", seeds=200
    ),
    "leave what a cancelled run has staged": Mutant(
        replaced(SimWarehouse, "tidy_unpublished", bugs.untidy),
        "replace, cancelled while it is read",
        seeds=20,
    ),
    "leave what a superseded run has staged when its task is stopped": Mutant(
        replaced(Conductor, "_ended", bugs.tidy_heard),
        "",
        seeds=0,
        test="tests/unit/orchestrator/conductor/test_tidying.py",
    ),
    "tidy up before the outcome is durable": Mutant(
        replaced(Mesh, "record", bugs.tidy_first), "merge", seeds=100
    ),
    "decide fires again": Mutant(replaced(schedules, "after", bugs.unmoved), "", seeds=20),
    "start a fire while a run is live": Mutant(
        replaced(Ledger, "live_beside", lambda *_: []), "", seeds=50
    ),
    "let runs of backfills stand in the way of fires": Mutant(
        replaced(Ledger, "live_beside", bugs.live_anyhow), "", seeds=50
    ),
    "forget what was due while nobody led": Mutant(
        replaced(Scheduler, "recover", bugs.from_now_on), "", seeds=50
    ),
    "answer with a schedule that is not durable": Mutant(
        replaced(Scheduler, "settled", bugs.as_it_is_by_now), "", seeds=100
    ),
    "give a backfill more runs than it may have": Mutant(
        replaced(runner, "decide", bugs.one_more), "", seeds=100
    ),
    "fill windows while a backfill is paused": Mutant(
        replaced(runner, "decide", bugs.paused_anyhow), "", seeds=100
    ),
    "fill a window that a live run reads": Mutant(
        replaced(BackfillRunner, "_busy", lambda *_: set()), "", seeds=200
    ),
    "forget which windows have runs": Mutant(
        replaced(Backfills, "begin", lambda *_: None), "", seeds=20
    ),
    "take a failed transform for done": Mutant(
        replaced(transforming, "_one", bugs.passed_over), "append, two transforms", seeds=20
    ),
}


def table() -> str:
    """Return the table of docs/reliability.md: each bug, and within what it is found."""
    lines = [
        "| Planted bug | `make model`: small world, faults | `make sim`: seeds | where neither does |",
        "| --- | --- | ---: | --- |",
    ]
    for name, mutant in MUTANTS.items():
        model = f"{mutant.world}, {mutant.faults}" if mutant.world else "-"
        lines.append(f"| {name} | {model} | {mutant.seeds or '-'} | {mutant.test or '-'} |")
    return "\n".join(lines)
