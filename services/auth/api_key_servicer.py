"""ApiKeyService: translates, and decides nothing."""

from collections.abc import Callable
from datetime import datetime

from convergence.auth.v1 import api_key_pb2
from convergence.auth.v1 import api_key_service_pb2 as pb
from convergence.auth.v1 import api_key_service_pb2_grpc as pb_grpc
from google.protobuf.duration_pb2 import Duration

from libs.common.identity import caller
from libs.common.names import PLATFORM, ApiKeyName, TenantName
from libs.common.paging import Page
from libs.common.parse import Reading, moment
from libs.common.rpc import Context
from services.auth import keys
from services.auth.key_admin import Holder, KeyAdmin, checked_description, checked_overlap
from services.auth.keys import KeyRecord, Verdict


class ApiKeyServicer(pb_grpc.ApiKeyServiceServicer):
    """Creates, lists and ends API keys."""

    def __init__(self, admin: KeyAdmin, *, now: Callable[[], datetime]) -> None:
        self._admin = admin
        self._now = now

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        asked = request.api_key
        with Reading() as read:
            tenant = read("parent", _tenant_of_parent, request.parent)
            description = read("api_key.description", checked_description, asked.description)
            expire_time = None
            if asked.HasField("expire_time"):
                expire_time = read("api_key.expire_time", moment, asked.expire_time)
        with Reading() as read:
            scopes = read(
                "api_key.scopes", lambda names: keys.checked_scopes(names, tenant), asked.scopes
            )
        new = await self._admin.create(
            tenant,
            description=description,
            scopes=scopes,
            expire_time=expire_time,
            holder=_holder(),
        )
        return pb.CreateApiKeyResponse(api_key=self._key(new.key), secret=new.secret)

    async def ListApiKeys(
        self, request: pb.ListApiKeysRequest, context: Context
    ) -> pb.ListApiKeysResponse:
        with Reading() as read:
            tenant = read("parent", _tenant_of_parent, request.parent)
        query = f"keys of {tenant}"
        page = Page(asked=request.page_size, token=request.page_token, query=query)
        found, token = page.of(await self._admin.list(tenant))
        return pb.ListApiKeysResponse(
            api_keys=[self._key(key) for key in found], next_page_token=token
        )

    async def RotateApiKey(
        self, request: pb.RotateApiKeyRequest, context: Context
    ) -> pb.RotateApiKeyResponse:
        asked = _seconds(request.overlap) if request.HasField("overlap") else None
        with Reading() as read:
            name = read("name", ApiKeyName.parse, request.name)
            overlap = read("overlap", checked_overlap, asked)
        new, old = await self._admin.rotate(name, overlap, _holder())
        return pb.RotateApiKeyResponse(
            api_key=self._key(new.key), secret=new.secret, superseded=self._key(old)
        )

    async def RevokeApiKey(
        self, request: pb.RevokeApiKeyRequest, context: Context
    ) -> pb.RevokeApiKeyResponse:
        with Reading() as read:
            name = read("name", ApiKeyName.parse, request.name)
        return pb.RevokeApiKeyResponse(api_key=self._key(await self._admin.revoke(name)))

    def _key(self, key: KeyRecord) -> api_key_pb2.ApiKey:
        successor = str(ApiKeyName(key.tenant, key.superseded_by)) if key.superseded_by else ""
        return api_key_pb2.ApiKey(
            name=str(key.name),
            description=key.description,
            scopes=sorted(key.scopes),
            active=keys.verdict(key, self._now()) is Verdict.ACTIVE,
            created_by=key.created_by,
            create_time=key.create_time,
            expire_time=key.expire_time,
            revoke_time=key.revoke_time,
            superseded_by=successor,
            last_use_time=key.last_use_time,
        )


def _holder() -> Holder:
    principal = caller()
    return Holder(name=str(ApiKeyName(principal.tenant, principal.key_id)), scopes=principal.scopes)


def _tenant_of_parent(text: str) -> str:
    return PLATFORM if text == f"tenants/{PLATFORM}" else TenantName.parse(text).tenant


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
