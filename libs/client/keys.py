"""API keys of a tenant or of the platform."""

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from convergence.auth.v1 import api_key_service_pb2 as pb
from convergence.auth.v1.api_key_pb2 import ApiKey
from convergence.auth.v1.api_key_service_pb2_grpc import ApiKeyServiceStub
from google.protobuf.duration_pb2 import Duration

from libs.client.connection import Connection, pages


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key and its secret, which is shown this once and stored nowhere."""

    key: ApiKey
    secret: str = dataclasses.field(repr=False)
    superseded: ApiKey | None = None
    """The key that it replaces, if it came from a rotation."""


class AsyncKeys:
    """Creates, lists and ends keys. Needs scope `tenant:admin` or `platform:admin`.

    Creating and rotating are not repeated by the channel: a repeat would make a second key.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = ApiKeyServiceStub(connection.channel)

    async def create(
        self,
        parent: str,
        *,
        description: str = "",
        scopes: Sequence[str] = (),
        expire_time: datetime | None = None,
    ) -> NewKey:
        """Create a key of `tenants/{tenant}` (`tenants/-`: the platform).

        Args:
            parent: Whose key it is.
            description: What it is for.
            scopes: What it may do; none means reading and starting runs.
            expire_time: When it ends; None means never.
        """
        key = ApiKey(description=description, scopes=scopes, expire_time=expire_time)
        request = pb.CreateApiKeyRequest(parent=parent, api_key=key)
        answer = await self._connection.call(self._stub.CreateApiKey, request)
        return NewKey(key=answer.api_key, secret=answer.secret)

    async def list(self, parent: str, *, limit: int | None = None) -> Sequence[ApiKey]:
        """Return the keys of `tenants/{tenant}` without their secrets, newest first."""

        async def fetch(token: str, size: int) -> tuple[Iterable[ApiKey], str]:
            request = pb.ListApiKeysRequest(parent=parent, page_size=size, page_token=token)
            page = await self._connection.call(self._stub.ListApiKeys, request)
            return page.api_keys, page.next_page_token

        return await pages(fetch, limit)

    async def rotate(self, name: str, *, overlap: timedelta | None = None) -> NewKey:
        """Create a key like `name`, which ends after `overlap` (None: a day)."""
        request = pb.RotateApiKeyRequest(name=name)
        if overlap is not None:
            span = Duration()
            span.FromTimedelta(overlap)
            request.overlap.CopyFrom(span)
        answer = await self._connection.call(self._stub.RotateApiKey, request)
        return NewKey(key=answer.api_key, secret=answer.secret, superseded=answer.superseded)

    async def revoke(self, name: str) -> ApiKey:
        """End the key `name`; every service refuses it within a minute."""
        request = pb.RevokeApiKeyRequest(name=name)
        return (await self._connection.call(self._stub.RevokeApiKey, request)).api_key
