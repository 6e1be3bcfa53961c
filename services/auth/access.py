"""Who may call which method of auth: its own directory says, and the mesh's own calls need no key."""

from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import Message

from libs.common.errors import NotFound, ServiceError
from libs.common.identity import CredentialMissing, Principal
from libs.common.limits import RateLimiter
from libs.common.names import PLATFORM, tenant_of
from libs.common.peers import FORWARDED, Network, address_of
from libs.common.rpc import Context, Scoped, resource_of
from services.auth.authentication import Authentication
from services.auth.keys import PLATFORM_ADMIN, TENANT_ADMIN
from services.auth.tenants import Limits, TenantNotFound

PACKAGE: Final = "convergence.auth.v1"
INSIDE: Final = f"/{PACKAGE}.AuthService/"
SCOPES: Final[Mapping[str, str]] = {
    f"/{PACKAGE}.TenantService/CreateTenant": PLATFORM_ADMIN,
    f"/{PACKAGE}.TenantService/GetTenant": TENANT_ADMIN,
    f"/{PACKAGE}.TenantService/ListTenants": PLATFORM_ADMIN,
    f"/{PACKAGE}.TenantService/UpdateTenant": PLATFORM_ADMIN,
    f"/{PACKAGE}.TenantService/DeleteTenant": PLATFORM_ADMIN,
    f"/{PACKAGE}.ApiKeyService/CreateApiKey": TENANT_ADMIN,
    f"/{PACKAGE}.ApiKeyService/ListApiKeys": TENANT_ADMIN,
    f"/{PACKAGE}.ApiKeyService/RotateApiKey": TENANT_ADMIN,
    f"/{PACKAGE}.ApiKeyService/RevokeApiKey": TENANT_ADMIN,
}
"""The scope that each method of the edge needs."""


class AuthAccess:
    """Lets calls of the mesh pass, and asks those of the edge for an API key.

    Network policy and IssueRunToken's own credential guard the methods for the mesh.
    """

    def __init__(
        self,
        authentication: Authentication,
        limiter: RateLimiter,
        trusted: Sequence[Network],
    ) -> None:
        self._authentication = authentication
        self._limiter = limiter
        self._trusted = trusted
        self._edge = Scoped(self._authenticate, SCOPES, missing, self._limit)

    async def admit(
        self,
        method: str,
        request: Message | None,
        metadata: Mapping[str, str],
        context: Context,
    ) -> Principal:
        if method.startswith(INSIDE):
            return Principal(tenant=tenant_of(resource_of(request)) or PLATFORM)
        return await self._edge.admit(method, request, metadata, context)

    async def _authenticate(self, metadata: Mapping[str, str], peer: str) -> Principal:
        api_key = metadata.get("x-api-key", "")
        if not api_key:
            raise CredentialMissing("the call carries no API key; send it as `x-api-key`")
        address = address_of(peer, metadata.get(FORWARDED, ""), self._trusted)
        caller = await self._authentication.call(api_key, peer=address)
        limits = caller.tenant.limits if caller.tenant else Limits()
        return Principal(
            tenant=caller.key.tenant,
            scopes=caller.key.scopes,
            key_id=caller.key.key_id,
            calls_per_second=limits.calls_per_second,
            call_burst=limits.call_burst,
            live_run_count=limits.live_run_count,
            key_expire_time=caller.key.expire_time,
        )

    def _limit(self, principal: Principal) -> None:
        self._limiter.admit(
            principal.tenant, rate=principal.calls_per_second, burst=principal.call_burst
        )


def missing(method: str, name: str) -> ServiceError:
    """Return the answer about a resource of another tenant: the same as about one that is not there."""
    del method
    if "/apiKeys/" in name:
        text = f"no API key {name}; list the tenant's keys"
        return NotFound(text, reason="API_KEY_NOT_FOUND", name=name)
    return TenantNotFound(tenant_of(name) or "")
