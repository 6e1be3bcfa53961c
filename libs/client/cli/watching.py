"""Shows a run as it goes: a bar on a terminal, nothing in a pipe, and a status at the end."""

import contextlib
from collections.abc import Callable, Iterator

from convergence.orchestrator.v1.run_pb2 import Run, RunState
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from libs.client import SETTLED
from libs.client.cli.failures import FAILED_RUN
from libs.client.cli.receipts import state_of

DONE = frozenset({RunState.RUN_STATE_SUCCEEDED, RunState.RUN_STATE_SUPERSEDED})


def exit_status(run: Run) -> int:
    """Return 0 for a run that ended as it should, 1 for one that failed, was held or cancelled."""
    return 0 if run.state in DONE else FAILED_RUN


@contextlib.contextmanager
def progress(console: Console, label: str) -> Iterator[Callable[[Run], None]]:
    """Yield what to call with each state of a run; it draws only on a terminal.

    The bar is full when the run rests: one part more than its chunks stands for what follows them.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[detail]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None, detail="")

        def show(run: Run) -> None:
            done = run.progress
            bar.update(
                task,
                description=f"{label} {state_of(run)}",
                total=done.chunk_count + 1 if done.chunk_count else None,
                completed=done.done_chunk_count + (run.state in SETTLED),
                detail=detail(run),
            )

        yield show


def detail(run: Run) -> str:
    """Return how far a run is, in words."""
    done = run.progress
    chunks = f"{done.done_chunk_count}/{done.chunk_count} chunks, " if done.chunk_count else ""
    return f"{chunks}{done.row_count:,} rows" if done.row_count or chunks else ""
