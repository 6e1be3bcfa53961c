"""What a refused call carries, read as its caller reads it."""

import contextlib
import dataclasses
from collections.abc import Generator

import grpc
import pytest
from google.rpc import status_pb2

from libs.common.channel import from_status
from libs.common.errors import Delayed, ServiceError
from libs.common.rpc import DETAILS


@dataclasses.dataclass(slots=True)
class Refusal:
    """What a refused call carried."""

    error: ServiceError = dataclasses.field(default_factory=lambda: ServiceError("none"))
    trailing: dict[str, str | bytes] = dataclasses.field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, str]:
        return self.error.metadata

    @property
    def fields(self) -> list[str]:
        return sorted(getattr(self.error, "violations", {}))

    @property
    def retry_after(self) -> float:
        """Seconds of the RetryInfo; fails if there is none."""
        assert isinstance(self.error, Delayed)
        assert "google.rpc.RetryInfo" in self.details
        return self.error.retry_after

    @property
    def status(self) -> status_pb2.Status:
        """The rich status as it came."""
        data = self.trailing[DETAILS]
        return status_pb2.Status.FromString(data if isinstance(data, bytes) else data.encode())

    @property
    def details(self) -> list[str]:
        """Full names of the messages in the status."""
        return [detail.type_url.rpartition("/")[2] for detail in self.status.details]


@contextlib.contextmanager
def refused(code: str, reason: str) -> Generator[Refusal]:
    """Expect the block's call to fail with this code and reason."""
    refusal = Refusal()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield refusal
    refusal.error = from_status(caught.value)
    refusal.trailing = dict(caught.value.trailing_metadata() or ())
    assert (caught.value.code().name, refusal.error.reason) == (code, reason), (
        caught.value.details()
    )
