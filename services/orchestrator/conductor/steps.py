"""What the end of a step means: of an error whether it is the run's end, of a success who is well."""

from typing import Final

from services.orchestrator.archive.archive import PublishedGone
from services.orchestrator.retries.causes import (
    AUTH,
    QUALITY,
    WAREHOUSE,
    WORKERS,
    Dependency,
    account_of,
    class_of,
)
from services.orchestrator.retries.pauses import STEP
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.warehouse.warehouse import PublishFailed

BOUNDED: Final = frozenset(
    {RunState.PENDING, RunState.PLANNING, RunState.INGESTING, RunState.AUDITING}
)
"""States that `limits.timeout` ends."""


def ends(state: RunState, error: BaseException, failed: int) -> bool:
    """Return whether the last of `failed` errors of a phase is the run's end, or it is done again.

    PublishedGone is the end of the orchestrator: no try here changes it.
    """
    if isinstance(error, PublishedGone):
        return True
    if state in {RunState.HELD, RunState.FAILED, RunState.CANCELLING}:
        return False
    if state is RunState.PUBLISHING:
        return isinstance(error, PublishFailed)
    if class_of(error).passes:
        return state in BOUNDED and STEP.exhausted(failed)
    return True


def answered(run: Run) -> list[Dependency]:
    """Return those who have done what they were asked when the phase of a run's state is done."""
    quality = [QUALITY] if run.spec.quality.suite_document else []
    match run.state:
        case RunState.PLANNING:
            return [WORKERS, AUTH, account_of(run.spec), WAREHOUSE, *quality]
        case RunState.AUDITING:
            return [WAREHOUSE, *quality]
        case RunState.INGESTING | RunState.PUBLISHING | RunState.TRANSFORMING | RunState.CANCELLING:
            return [WAREHOUSE]
        case _:
            return []
