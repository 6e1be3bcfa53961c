"""PENDING: a scheduled run waits until others have succeeded for the day or month that it is for."""

from typing import Final

from libs.common.errors import FailedPrecondition
from libs.common.names import PipelineName
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.windows import Window, own_part

LOOK_SECONDS: Final = (1.0, 2.0, 5.0, 10.0)
"""Pauses between looks; the last goes on."""


class UpstreamTimedOut(FailedPrecondition):
    """What the run waited for did not succeed in time."""

    reason = "UPSTREAM_TIMED_OUT"

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"waited in vain for {', '.join(missing)} to succeed for the same window",
            pipelines=",".join(missing),
        )


async def others(mesh: Mesh, run: Run) -> None:
    """Return when all that a run waits for have succeeded. Raises UpstreamTimedOut."""
    expire = run.created.after_expire_time
    assert expire is not None
    looks = 0
    while missing := missing_of(mesh.history.ledger, run):
        left = (expire - mesh.clock()).total_seconds()
        if left <= 0:
            raise UpstreamTimedOut(missing)
        pause = LOOK_SECONDS[min(looks, len(LOOK_SECONDS) - 1)]
        await mesh.sleep(min(pause, left))
        looks += 1


def missing_of(ledger: Ledger, run: Run) -> tuple[str, ...]:
    """Return the pipelines that a run still waits for, in the order in which its file names them."""
    created = run.created
    if not created.after:
        return ()
    assert created.window_start is not None
    assert created.window_end is not None
    part = own_part(run.spec, Window(start=created.window_start, end=created.window_end))
    return tuple(
        name
        for name in created.after
        if not ledger.successes.contain(PipelineName.parse(name), part.start, part.end)
    )
