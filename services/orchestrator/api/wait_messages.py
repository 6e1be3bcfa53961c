"""Why a run has not begun, as a message."""

from convergence.orchestrator.v1 import run_pb2

from services.orchestrator.api.run_messages import stamp
from services.orchestrator.conductor.admission import Wait, told
from services.orchestrator.runs.records import Share


def wait_message(wait: Wait, share: Share) -> run_pb2.RunWait:
    """Return why a run of a tenant waits that may have `share`."""
    return run_pb2.RunWait(
        limit=f"RUN_LIMIT_{wait.obstacle}",
        message=told(wait, share),
        ahead_run_count=wait.ahead_count,
        until_time=stamp(wait.until),
    )
