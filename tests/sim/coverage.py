"""Which fault has met which point: the table, and the cells that cannot occur."""

from collections import Counter
from typing import Final

from tests.sim.faults import CHOSEN, Fault

POINTS: Final = (
    "election.take",
    "election.announce",
    "journal.open",
    "journal.append",
    "worker.plan",
    "worker.ingest",
    "judge.compile",
    "judge.judge",
    "warehouse.columns",
    "warehouse.prepare",
    "warehouse.commit_staged",
    "warehouse.commit_quarantine",
    "warehouse.delete_stray_quarantine",
    "warehouse.stream_counts",
    "warehouse.chunk_counts",
    "warehouse.delete_strays",
    "warehouse.staged_by_scope",
    "warehouse.published_by_scope",
    "warehouse.keep_staging",
    "warehouse.check_columns",
    "warehouse.merge_statement",
    "warehouse.add_columns",
    "warehouse.publish",
    "warehouse.commit_target",
    "warehouse.published_of",
    "warehouse.tidy_published",
    "warehouse.tidy_unpublished",
    "warehouse.stage_transform",
    "warehouse.publish_transform",
    "warehouse.tidy_transform",
)

COLUMNS: Final = (*CHOSEN, Fault.REORDER)

CANNOT: Final[dict[str, str]] = {
    "warehouse.check": "is called by ValidatePipeline only: no run comes by",
    "warehouse.quarantined": "is called by ListQuarantinedRows only: it reads",
    "warehouse.target, quarantine, staging": "make a name, without any call",
    "journal.size_of, close": "happen in the process itself",
    "election.close": "ends with the process; its lease runs out",
}
"""Methods of the ports that have no line, and why."""

REPEATED: Final = (
    "repeat of delete_strays, delete_stray_quarantine, tidy_published, tidy_unpublished, take and announce is "
    "one by who asks: a second copy finds its job id or version taken"
)


def empty(met: Counter[tuple[str, str]]) -> list[str]:
    """Return the cells that nothing has filled yet."""
    return [
        f"{point} with {fault}" for point in POINTS for fault in COLUMNS if not met[point, fault]
    ]


def table(met: Counter[tuple[str, str]]) -> str:
    """Return the counts as text."""
    width = max(map(len, POINTS))
    lines = [" " * width + "".join(f"{fault:>13}" for fault in COLUMNS)]
    for point in POINTS:
        counts = "".join(f"{met[point, fault] or '-':>13}" for fault in COLUMNS)
        lines.append(f"{point:{width}}{counts}")
    lines += ["", "No line, as it cannot occur:"]
    lines += [f"  {method}: {why}" for method, why in CANNOT.items()]
    lines.append(f"  {REPEATED}")
    return "\n".join(lines)
