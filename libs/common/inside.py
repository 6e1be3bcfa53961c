"""The door of a service inside the mesh: identity tokens, verified offline with auth's public keys."""

import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Final

from convergence.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from google.protobuf.descriptor import ServiceDescriptor

from libs.common.app import Host
from libs.common.channel import open_channel, translated
from libs.common.errors import NotFound, Unavailable
from libs.common.identity import Principal, TokenVerifier
from libs.common.rpc import Scoped

AUTH: Final = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name
CALL_SECONDS: Final = 5.0


class RunOfAnother(NotFound):
    """Another tenant's run answers as a missing one does."""

    reason = "RUN_NOT_FOUND"


class AuthUnavailable(Unavailable):
    """auth cannot be asked for its keys; nothing is known about the token."""

    reason = "AUTH_UNAVAILABLE"


@contextlib.asynccontextmanager
async def guarded(
    host: Host, service: ServiceDescriptor, *, audience: str, auth: str
) -> AsyncGenerator[None]:
    """Let only holders of tokens for `audience` call `service`, and only about their own tenant.

    Args:
        host: Whose server it is.
        service: The service; reflection describes it.
        audience: What tokens must be for, e.g. `ingest`.
        auth: `host:port` of the auth service, asked for its public keys.
    """
    async with open_channel(auth, retried=[AUTH]) as channel:
        stub = auth_service_pb2_grpc.AuthServiceStub(channel)

        async def fetch_keys() -> Mapping[str, bytes]:
            request = auth_service_pb2.ListSigningKeysRequest()
            try:
                with translated():
                    response = await stub.ListSigningKeys(request, timeout=CALL_SECONDS)
            except Unavailable as error:
                text = "auth does not answer, so no token can be verified; repeat the call"
                raise AuthUnavailable(text) from error
            return {key.key_id: key.public_key for key in response.keys}

        verifier = TokenVerifier(audience, fetch_keys, clock=time.time)

        async def authenticate(metadata: Mapping[str, str], peer: str) -> Principal:
            del peer
            return await verifier.authenticate(metadata)

        scopes = {f"/{service.full_name}/{method.name}": "" for method in service.methods}
        host.guard(Scoped(authenticate, scopes, _missing))
        host.describe([service.full_name])
        yield


def _missing(method: str, name: str) -> NotFound:
    del method
    return RunOfAnother(f"no run {name}", name=name)
