"""Why a run has not begun, as a message."""

from convergence.orchestrator.v1 import run_pb2

from services.orchestrator.api.run_messages import stamp
from services.orchestrator.conductor.admission import Obstacle, Wait
from services.orchestrator.runs.records import Share


def wait_message(wait: Wait, share: Share) -> run_pb2.RunWait:
    """Return why a run of a tenant waits that may have `share`."""
    return run_pb2.RunWait(
        limit=f"RUN_LIMIT_{wait.obstacle}",
        message=_sentence(wait, share),
        ahead_run_count=wait.ahead_count,
        until_time=stamp(wait.until),
    )


def _sentence(wait: Wait, share: Share) -> str:
    match wait.obstacle:
        case Obstacle.LIVE_RUNS:
            return (
                f"the tenant may have {share.live_run_count} live runs and has them; "
                "wait until one ends, or have the limit raised"
            )
        case Obstacle.READ_BYTES:
            return (
                f"the tenant's runs have read the {share.read_bytes_per_day} bytes that they may "
                "today; wait until 00:00 UTC, or have the limit raised"
            )
