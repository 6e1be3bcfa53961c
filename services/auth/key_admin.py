"""Creates, rotates and revokes keys, and refuses to hand out more than the caller holds."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from libs.common.errors import InvalidRequest
from libs.common.names import PLATFORM, ApiKeyName
from services.auth import keys
from services.auth.directory import Directory
from services.auth.keys import ApiKeyNotFound, KeyRecord, Verdict
from services.auth.tenants import TenantDeleted, TenantNotFound, TenantState

DEFAULT_OVERLAP: Final = timedelta(days=1)
LONGEST_OVERLAP: Final = timedelta(days=30)
LONGEST_DESCRIPTION: Final = 200
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who asks: name of the calling key, and its scopes."""

    name: str
    scopes: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made; `secret` is shown once and kept nowhere."""

    key: KeyRecord
    secret: str = dataclasses.field(repr=False)


def checked_description(text: str) -> str:
    """Return `text`; raise ValueError if it is too long."""
    if len(text) > LONGEST_DESCRIPTION:
        raise ValueError(f"{len(text)} characters; allowed are {LONGEST_DESCRIPTION}")
    return text


def checked_overlap(seconds: float | None) -> timedelta:
    """Return how long an old key still works, a day if nothing was said; raise ValueError if negative or too long."""
    if seconds is None:
        return DEFAULT_OVERLAP
    longest = LONGEST_OVERLAP.total_seconds()
    if not 0 <= seconds <= longest:
        raise ValueError(f"found {seconds!r}; allowed are 0 to {longest:.0f} seconds")
    return timedelta(seconds=seconds)


class KeyAdmin:
    """What ApiKeyService promises, over the directory."""

    def __init__(self, directory: Directory, *, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._now = now

    async def create(
        self,
        tenant: str,
        *,
        description: str,
        scopes: frozenset[str],
        expire_time: datetime | None,
        holder: Holder,
    ) -> NewKey:
        """Make a key for `tenant` (`-` for the platform).

        Raises:
            ScopeMissing: `holder` lacks one of `scopes`.
            TenantNotFound, TenantDeleted: there is no such tenant (any more).
            InvalidRequest: `expire_time` is over.
        """
        keys.refuse_more_than(holder.scopes, scopes, "CreateApiKey")
        if expire_time is not None and expire_time <= self._now():
            found = f"found {expire_time.isoformat()}; allowed is a time to come, or none"
            raise InvalidRequest({"api_key.expire_time": found})
        if tenant != PLATFORM:
            await self._refuse_without_tenant(tenant)
        new = self._make(tenant, description, scopes, expire_time, holder)
        await self._directory.add_key(new.key)
        return new

    async def list(self, tenant: str) -> list[KeyRecord]:
        """Return the keys of `tenant`, newest first."""
        found = (await self._directory.ready()).keys_of(tenant)
        return sorted(found, key=lambda key: (key.create_time or EPOCH, key.key_id), reverse=True)

    async def rotate(
        self, name: ApiKeyName, overlap: timedelta, holder: Holder
    ) -> tuple[NewKey, KeyRecord]:
        """Make a key like `name` and let that one end after `overlap`; return both.

        The new key lives as long as the old one was meant to, counted from now.

        Raises:
            ApiKeyNotFound: no such key.
            ScopeMissing: the key may do what `holder` may not.
            InvalidRequest: the key is revoked, expired or was rotated before.
        """
        old = await self._find(name)
        keys.refuse_more_than(holder.scopes, old.scopes, "RotateApiKey")
        now = self._now()
        _refuse_ended(old, now)
        expire_time = None
        if old.expire_time is not None:
            expire_time = now + (old.expire_time - (old.create_time or now))
        new = self._make(old.tenant, old.description, old.scopes, expire_time, holder)
        superseded = await self._directory.supersede_key(
            old, successor=new.key, expire_time=now + overlap
        )
        return new, superseded

    async def revoke(self, name: ApiKeyName) -> KeyRecord:
        """Revoke a key; a repeat changes nothing. Raises ApiKeyNotFound."""
        key = await self._find(name)
        if not key.active:
            return key
        return await self._directory.revoke_key(key, at=self._now())

    def _make(
        self,
        tenant: str,
        description: str,
        scopes: frozenset[str],
        expire_time: datetime | None,
        holder: Holder,
    ) -> NewKey:
        secret = keys.new_secret(tenant)
        key = KeyRecord(
            digest=keys.digest_of(secret),
            tenant=tenant,
            key_id=keys.new_key_id(),
            create_time=self._now(),
            created_by=holder.name,
            description=description,
            scopes=scopes,
            expire_time=expire_time,
        )
        return NewKey(key=key, secret=secret)

    async def _find(self, name: ApiKeyName) -> KeyRecord:
        for snapshot in (self._directory.ready, self._directory.reread):
            for key in (await snapshot()).keys_of(name.tenant):
                if key.key_id == name.key:
                    return key
        raise ApiKeyNotFound(name)

    async def _refuse_without_tenant(self, tenant_id: str) -> None:
        tenant = (await self._directory.ready()).tenants.get(tenant_id)
        tenant = tenant or (await self._directory.reread()).tenants.get(tenant_id)
        if tenant is None:
            raise TenantNotFound(tenant_id)
        if tenant.state is TenantState.DELETED:
            raise TenantDeleted(tenant_id)


def _refuse_ended(key: KeyRecord, now: datetime) -> None:
    state = keys.verdict(key, now)
    if state is not Verdict.ACTIVE:
        raise InvalidRequest({"name": f"key {key.key_id} is {state}; create another instead"})
    if key.superseded_by:
        text = f"key {key.key_id} was rotated before; rotate {key.superseded_by} instead"
        raise InvalidRequest({"name": text})
