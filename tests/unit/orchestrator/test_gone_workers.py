"""What the end of a call of a worker means for the chunk that it had."""

import grpc
import pytest
from grpc import StatusCode

from services.orchestrator.workers.grpc_workers import gone
from services.orchestrator.workers.workers import ChunkFailed, WorkerGone


def ended(code: StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "it broke")


@pytest.mark.parametrize(
    "code",
    [
        StatusCode.UNAVAILABLE,
        StatusCode.CANCELLED,
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
    ],
)
def test_a_call_that_broke_off_is_a_worker_that_is_gone(code: StatusCode) -> None:
    error = gone("w1", ended(code))
    assert isinstance(error, WorkerGone)
    assert not error.refused


@pytest.mark.parametrize(
    ("code", "again"),
    [
        (StatusCode.INTERNAL, True),
        (StatusCode.UNAUTHENTICATED, True),
        (StatusCode.INVALID_ARGUMENT, False),
        (StatusCode.PERMISSION_DENIED, False),
        (StatusCode.UNIMPLEMENTED, False),
    ],
)
def test_a_call_that_a_worker_refuses_is_tried_elsewhere_only_where_that_may_help(
    code: StatusCode, again: bool
) -> None:
    error = gone("w1", ended(code))
    assert isinstance(error, ChunkFailed)
    assert error.transient is again
