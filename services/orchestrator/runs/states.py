"""States of a run and the one table of allowed moves."""

import enum
from typing import Final


class RunState(enum.StrEnum):
    """State of a run, named as in `convergence.orchestrator.v1.RunState`."""

    PENDING = "PENDING"
    PLANNING = "PLANNING"
    INGESTING = "INGESTING"
    AUDITING = "AUDITING"
    HELD = "HELD"
    PUBLISHING = "PUBLISHING"
    TRANSFORMING = "TRANSFORMING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TRANSFORM_FAILED = "TRANSFORM_FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    SUPERSEDED = "SUPERSEDED"


_STOP: Final = frozenset({RunState.FAILED, RunState.CANCELLING, RunState.SUPERSEDED})

NEXT: Final[dict[RunState, frozenset[RunState]]] = {
    RunState.PENDING: frozenset({RunState.PLANNING}) | _STOP,
    RunState.PLANNING: frozenset({RunState.INGESTING}) | _STOP,
    RunState.INGESTING: frozenset({RunState.AUDITING}) | _STOP,
    RunState.AUDITING: frozenset({RunState.HELD, RunState.PUBLISHING, RunState.INGESTING}) | _STOP,
    RunState.HELD: frozenset(
        {RunState.PUBLISHING, RunState.CANCELLING, RunState.CANCELLED, RunState.SUPERSEDED}
    ),
    RunState.PUBLISHING: frozenset({RunState.TRANSFORMING, RunState.INGESTING, RunState.FAILED}),
    RunState.TRANSFORMING: frozenset({RunState.SUCCEEDED, RunState.TRANSFORM_FAILED}),
    RunState.FAILED: frozenset(
        {RunState.PLANNING, RunState.INGESTING, RunState.CANCELLED, RunState.SUPERSEDED}
    ),
    RunState.TRANSFORM_FAILED: frozenset({RunState.TRANSFORMING, RunState.SUCCEEDED}),
    RunState.CANCELLING: frozenset({RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.CANCELLED: frozenset(),
    RunState.SUPERSEDED: frozenset(),
}
"""Allowed moves. A state with no next state is final."""

FINAL: Final = frozenset(state for state, following in NEXT.items() if not following)

RESTING: Final = FINAL | {RunState.HELD, RunState.FAILED, RunState.TRANSFORM_FAILED}
"""Nothing moves by itself: these count neither for overlap nor for caps, and end a watch."""

LIVE: Final = frozenset(RunState) - RESTING

BEGUN: Final = LIVE - {RunState.PENDING, RunState.CANCELLING}
"""Runs that use what their tenant may have, and count for caps: others wait, or only tidy up."""

CANCELLABLE: Final = frozenset(
    state
    for state, following in NEXT.items()
    if RunState.CANCELLING in following or state is RunState.FAILED
)
"""States in which CancelRun is accepted; FAILED goes to CANCELLED at once."""
