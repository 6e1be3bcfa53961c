"""Which fault has met which point: the table, and the cells that cannot occur."""

from collections import Counter
from typing import Final

from tests.sim.faults import CHOSEN, Fault, Point, occurs_not

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
    "warehouse.quarantine_counts",
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
    "tenants.standing",
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

NEVER: Final[dict[str, str]] = {
    "echo of delete_strays, delete_stray_quarantine, tidy_published, tidy_unpublished, take, announce": (
        "a copy finds its job id or version taken: it comes at once, as twice, and changes nothing"
    ),
    "echo of journal.open": (
        "a late copy seals what is sealed and makes a stream that nobody is told of; the fake's caller "
        "would be told"
    ),
    "deposed of election.take": "who asks for the lease has none to lose",
}
"""Cells that cannot occur, and why."""


STARTED: Final = ("start", "skip same_window", "miss too_old")
FATES: Final[dict[str, tuple[str, ...]]] = {
    "skip": (*STARTED, "skip overlap", "buffer order"),
    "buffer_one": (*STARTED, "skip overlap", "buffer overlap", "buffer order"),
    "buffer_all": (*STARTED, "buffer overlap", "buffer order"),
    "cancel_other": (*STARTED, "buffer overlap", "buffer order"),
    "allow_all": STARTED,
    "schedule": ("run by a successor",),
    "backfill": (
        "created", "filled", "paused", "paused by itself", "resumed", "cancelled", "finished",
        "fire beside",
    ),
}  # fmt: skip
"""What may become of fires, by policy, and of backfills."""

FEW: Final[dict[str, str]] = {
    "cancel_other, skip overtaken": (
        "a run that is cancelled would have to go on for a minute: "
        "tests/unit/orchestrator/schedules/test_model.py"
    ),
    "refuse": "no fire of these stories is refused: tests/unit/orchestrator/schedules/test_scheduler.py",
}
"""Fates that few stories come by, or none, and what looks for them."""


def unmet(planned: Counter[tuple[str, str]]) -> list[str]:
    """Return the fates that no fire or backfill has met yet, and that could be."""
    return [
        f"{of}: {fate}" for of, fates in FATES.items() for fate in fates if not planned[of, fate]
    ]


def plans(planned: Counter[tuple[str, str]]) -> str:
    """Return how often fires and backfills have met what, as text."""
    width = max(map(len, FATES))
    lines = [
        f"{of:{width}}  {', '.join(f'{fate} {planned[of, fate]}' for fate in fates)}"
        for of, fates in FATES.items()
    ]
    lines += ["Not asked for:", *(f"  {x}: {why}" for x, why in FEW.items())]
    return "\n".join(lines)


def occurs(point: str, fault: Fault) -> bool:
    """Return whether a cell can be filled."""
    port, method = point.split(".")
    return not occurs_not(Point(port, method), fault)


def empty(met: Counter[tuple[str, str]]) -> list[str]:
    """Return the cells that nothing has filled yet, and that could be."""
    return [
        f"{point} {fault}"
        for point in POINTS
        for fault in COLUMNS
        if occurs(point, fault) and not met[point, fault]
    ]


def table(met: Counter[tuple[str, str]]) -> str:
    """Return the counts as text; `x` stands where nothing can."""
    width = max(map(len, POINTS))
    lines = [" " * width + "".join(f"{fault:>10}" for fault in COLUMNS)]
    for point in POINTS:
        cells = (met[point, fault] or ("-" if occurs(point, fault) else "x") for fault in COLUMNS)
        lines.append(f"{point:{width}}" + "".join(f"{cell:>10}" for cell in cells))
    lines += [
        "",
        "No cell (x), as it cannot occur:",
        *(f"  {x}: {why}" for x, why in NEVER.items()),
    ]
    lines += ["No line, as no story comes by:", *(f"  {x}: {why}" for x, why in CANNOT.items())]
    return "\n".join(lines)
