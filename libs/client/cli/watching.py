"""Shows a run as it goes: a bar on a terminal, nothing in a pipe, and a status at the end."""

from convergence.orchestrator.v1.run_pb2 import Run, RunState

from libs.client import SETTLED
from libs.client.cli.bar import Drawn
from libs.client.cli.failures import FAILED_RUN
from libs.client.cli.receipts import state_of

DONE = frozenset({RunState.RUN_STATE_SUCCEEDED, RunState.RUN_STATE_SUPERSEDED})


def exit_status(run: Run) -> int:
    """Return 0 for a run that ended as it should, 1 for one that failed, was held or cancelled."""
    return 0 if run.state in DONE else FAILED_RUN


def drawn(run: Run) -> Drawn:
    """Return what a bar shows of a run: it is full when the run rests.

    One part more than its chunks stands for what follows them.
    """
    done = run.progress
    return Drawn(
        state=state_of(run),
        total=done.chunk_count + 1 if done.chunk_count else None,
        completed=done.done_chunk_count + (run.state in SETTLED),
        detail=detail(run),
    )


def detail(run: Run) -> str:
    """Return how far a run is, in words."""
    done = run.progress
    chunks = f"{done.done_chunk_count}/{done.chunk_count} chunks, " if done.chunk_count else ""
    return f"{chunks}{done.row_count:,} rows" if done.row_count or chunks else ""
