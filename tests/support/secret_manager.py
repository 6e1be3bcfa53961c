"""A server of Secret Manager's protocol on this machine, whose secrets and moods a test chooses."""

import contextlib
import dataclasses
from collections.abc import Generator
from concurrent import futures
from typing import Any, Final

import google_crc32c
import grpc
from google.cloud.secretmanager_v1 import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
    SecretPayload,
)

SERVICE: Final = "google.cloud.secretmanager.v1.SecretManagerService"
PROJECT: Final = "trial"


@dataclasses.dataclass(slots=True, kw_only=True)
class Version:
    """The newest version of a secret; `checksum` None sends none."""

    data: bytes
    enabled: bool = True
    readable: bool = True
    checksum: int | None = None


@dataclasses.dataclass(slots=True)
class SecretManager:
    """Newest versions by the secret's id.

    Dials: `refusals` are the codes that the next calls fail with, one each.
    """

    address: str = ""
    versions: dict[str, Version] = dataclasses.field(default_factory=dict)
    refusals: list[grpc.StatusCode] = dataclasses.field(default_factory=list)
    asked: list[str] = dataclasses.field(default_factory=list)

    def put(self, secret: str, data: bytes, **changes: Any) -> None:
        """Make `data` the newest version of a secret, with the checksum that belongs to it."""
        checksum = google_crc32c.value(data)
        self.versions[secret] = dataclasses.replace(
            Version(data=data, checksum=checksum), **changes
        )

    def clear(self) -> None:
        for kept in (self.versions, self.refusals, self.asked):
            kept.clear()

    def access(
        self, request: AccessSecretVersionRequest, context: grpc.ServicerContext
    ) -> AccessSecretVersionResponse:
        """Answer as Secret Manager does: its codes, its sentences, its checksum."""
        self.asked.append(request.name)
        routing = dict(context.invocation_metadata()).get("x-goog-request-params")
        assert routing == f"name={request.name}"
        if self.refusals:
            context.abort(self.refusals.pop(0), "not now")
        head, _, rest = request.name.partition(f"projects/{PROJECT}/secrets/")
        secret, _, newest = rest.partition("/versions/")
        if head or newest != "latest" or secret not in self.versions:
            text = f"Secret [{request.name}] not found or has no versions."
            context.abort(grpc.StatusCode.NOT_FOUND, text)
        version = self.versions[secret]
        if not version.readable:
            text = "Permission 'secretmanager.versions.access' denied (or it may not exist)."
            context.abort(grpc.StatusCode.PERMISSION_DENIED, text)
        if not version.enabled:
            text = f"Secret Version [{request.name}] is in DISABLED state."
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)
        payload = SecretPayload(data=version.data, data_crc32c=version.checksum)
        return AccessSecretVersionResponse(name=request.name, payload=payload)


@contextlib.contextmanager
def secret_manager() -> Generator[SecretManager]:
    """Serve an empty Secret Manager of the project PROJECT."""
    manager = SecretManager()
    method = grpc.unary_unary_rpc_method_handler(
        manager.access,
        request_deserializer=AccessSecretVersionRequest.deserialize,
        response_serializer=AccessSecretVersionResponse.serialize,
    )
    handler = grpc.method_handlers_generic_handler(SERVICE, {"AccessSecretVersion": method})
    with futures.ThreadPoolExecutor(max_workers=4) as threads:
        server = grpc.server(threads, options=(("grpc.so_reuseport", 0),))
        server.add_generic_rpc_handlers((handler,))
        manager.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield manager
        finally:
            server.stop(0).wait()
