"""What a refused call carries, read as its caller reads it."""

import contextlib
import dataclasses
from collections.abc import Generator

import grpc
import pytest

from libs.common.channel import from_status
from libs.common.errors import ServiceError


@dataclasses.dataclass(slots=True)
class Refusal:
    """What a refused call carried."""

    error: ServiceError = dataclasses.field(default_factory=lambda: ServiceError("none"))

    @property
    def metadata(self) -> dict[str, str]:
        return self.error.metadata

    @property
    def fields(self) -> list[str]:
        return sorted(getattr(self.error, "violations", {}))


@contextlib.contextmanager
def refused(code: str, reason: str) -> Generator[Refusal]:
    """Expect the block's call to fail with this code and reason."""
    refusal = Refusal()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield refusal
    refusal.error = from_status(caught.value)
    assert (caught.value.code().name, refusal.error.reason) == (code, reason), (
        caught.value.details()
    )
