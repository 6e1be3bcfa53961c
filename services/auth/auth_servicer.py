"""AuthService: translates, and decides nothing."""

from convergence.auth.v1 import auth_service_pb2 as pb
from convergence.auth.v1 import auth_service_pb2_grpc as pb_grpc

from libs.common.names import RunName
from libs.common.parse import Reading
from libs.common.peers import host_of
from libs.common.rpc import Context
from services.auth.authentication import Authentication, Caller
from services.auth.limit_messages import limits_message
from services.auth.run_authority import RunAuthority
from services.auth.tenants import Limits
from services.auth.tokens import checked_audiences


class AuthServicer(pb_grpc.AuthServiceServicer):
    """Says who calls, to the services of the mesh."""

    def __init__(self, authentication: Authentication, authority: RunAuthority) -> None:
        self._authentication = authentication
        self._authority = authority

    async def Authenticate(
        self, request: pb.AuthenticateRequest, context: Context
    ) -> pb.AuthenticateResponse:
        with Reading() as read:
            (audience,) = read("audience", checked_audiences, [request.audience])
        identity = await self._authentication.identify(
            request.api_key, audience=audience, peer=host_of(request.peer)
        )
        response = pb.AuthenticateResponse(
            principal=_principal(identity.caller),
            identity_token=identity.token.text,
            expire_time=identity.token.expire_time,
            key_expire_time=identity.caller.key.expire_time,
        )
        response.cache_ttl.FromMilliseconds(int(identity.cache_seconds * 1000))
        return response

    async def IssueRunToken(
        self, request: pb.IssueRunTokenRequest, context: Context
    ) -> pb.IssueRunTokenResponse:
        await self._authority.check(_authorization(context))
        with Reading() as read:
            run = read("run", RunName.parse, request.run)
            audiences = read("audiences", checked_audiences, request.audiences)
        issued = await self._authentication.run_token(run, audiences)
        return pb.IssueRunTokenResponse(
            identity_token=issued.token.text,
            expire_time=issued.token.expire_time,
            limits=limits_message(issued.limits),
        )

    async def ListSigningKeys(
        self, request: pb.ListSigningKeysRequest, context: Context
    ) -> pb.ListSigningKeysResponse:
        signer = await self._authentication.signer()
        keys = [pb.SigningKey(key_id=key.key_id, public_key=key.raw) for key in signer.public_keys]
        return pb.ListSigningKeysResponse(keys=keys)


def _authorization(context: Context) -> str:
    metadata = context.invocation_metadata() or ()
    return next((str(value) for key, value in metadata if key == "authorization"), "")


def _principal(caller: Caller) -> pb.Principal:
    limits = caller.tenant.limits if caller.tenant else Limits()
    return pb.Principal(
        tenant=caller.key.tenant,
        scopes=sorted(caller.key.scopes),
        key_id=caller.key.key_id,
        calls_per_second=limits.calls_per_second,
        call_burst=limits.call_burst,
        live_run_count=limits.live_run_count,
        slot_weight=limits.slot_weight,
        chunk_count=limits.chunk_count,
        read_bytes_per_day=limits.read_bytes_per_day,
    )
