"""All keys and tenants in memory: what calls are answered from, and how old it may be."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

import structlog

from libs.common.errors import ServiceError, Unavailable
from services.auth.key_store import KeyStore, revoked, superseded
from services.auth.keys import KeyRecord
from services.auth.rereading import JoinedReading
from services.auth.tenant_store import TenantStore
from services.auth.tenants import Tenant

NOT_INITIALIZED: Final = "NOT_INITIALIZED"
RETRY_SECONDS: Final = 2.0
"""How soon the tables are read again after a reading that failed."""

log = structlog.get_logger(__name__)


class AuthUnavailable(Unavailable):
    reason = "AUTH_UNAVAILABLE"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=RETRY_SECONDS)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Both tables as of one reading; tombstones included."""

    keys: Mapping[str, KeyRecord]
    """By digest."""
    tenants: Mapping[str, Tenant]
    """By id."""
    read_at: float
    """Monotonic seconds when the reading began."""

    def keys_of(self, tenant: str) -> list[KeyRecord]:
        return [key for key in self.keys.values() if key.tenant == tenant]


def by_digest(keys: Iterable[KeyRecord]) -> tuple[dict[str, KeyRecord], list[str]]:
    """Index keys; return also the digests that stand in several rows.

    Rows made by hand may repeat a digest. Such a key is good only if all its rows say so for one
    tenant: a revoked row wins, and rows of different tenants make the key nobody's.
    """
    index: dict[str, KeyRecord] = {}
    repeated = []
    for key in keys:
        other = index.get(key.digest)
        if other is None:
            index[key.digest] = key
            continue
        repeated.append(key.digest)
        agree = other.tenant == key.tenant and other.active and key.active
        index[key.digest] = dataclasses.replace(
            other, active=agree, scopes=other.scopes & key.scopes
        )
    return index, repeated


class Directory:
    """Reads both tables every `refresh_seconds` and serves nothing older than `promise_seconds`.

    Writes go through it, one at a time and never beside a reading, so that a reading that began
    before a write cannot bring back what the write has ended.
    """

    def __init__(
        self,
        keys: KeyStore,
        tenants: TenantStore,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        refresh_seconds: float = 20.0,
        promise_seconds: float = 60.0,
    ) -> None:
        self._keys = keys
        self._tenants = tenants
        self._clock = clock
        self._sleep = sleep
        self._refresh_seconds = refresh_seconds
        self._promise_seconds = promise_seconds
        self._snapshot: Snapshot | None = None
        self._failure: ServiceError | None = None
        self._lock = asyncio.Lock()
        self._reading = JoinedReading(self.refresh, clock=clock, sleep=sleep)

    @property
    def age(self) -> float:
        """Seconds since the reading that calls are answered from; infinite before the first."""
        return self._clock() - self._snapshot.read_at if self._snapshot else float("inf")

    @property
    def cache_seconds(self) -> float:
        """How long an answer given now may be kept without breaking the promise."""
        return max(0.0, min(self._refresh_seconds, self._promise_seconds - self.age))

    @property
    def serving(self) -> bool:
        """Whether calls are answered, be it only with NOT_INITIALIZED."""
        if self._failure is not None and self._failure.reason == NOT_INITIALIZED:
            return True
        return self.age <= self._promise_seconds

    @property
    def healthy(self) -> bool:
        """Whether the last reading succeeded."""
        return self._snapshot is not None and self._failure is None

    def current(self) -> Snapshot:
        """Return what was read last.

        Raises:
            FailedPrecondition: NOT_INITIALIZED, the tables are not there.
            AuthUnavailable: the last reading is too old, or there was none.
        """
        if self._failure is not None and self._failure.reason == NOT_INITIALIZED:
            raise self._failure.with_traceback(None)
        if self._snapshot is None or self.age > self._promise_seconds:
            raise AuthUnavailable(
                f"the key table could not be read for {self._promise_seconds:.0f} s, so nothing is known about keys; "
                "wait for BigQuery to answer"
            )
        return self._snapshot

    async def ready(self) -> Snapshot:
        """Return what was read last; if the tables were not there, look once more first."""
        if self._failure is not None and self._failure.reason == NOT_INITIALIZED:
            await self._reading.wait()
        return self.current()

    async def reread(self) -> Snapshot:
        """Return what a reading says that began after this call.

        Raises:
            FailedPrecondition: NOT_INITIALIZED.
            AuthUnavailable: the reading failed.
        """
        await self._reading.wait()
        snapshot = self.current()
        if self._failure is not None:
            raise AuthUnavailable(
                "the key table cannot be read now, so nothing is known about a key that it did not hold before; "
                "wait for BigQuery to answer"
            )
        return snapshot

    async def refresh(self) -> None:
        """Read both tables; a failure is kept for those who ask, and leaves what was read before."""
        async with self._lock:
            began = self._clock()
            try:
                keys, repeated = by_digest(await self._keys.read())
                tenants = {tenant.tenant_id: tenant for tenant in await self._tenants.read()}
            except ServiceError as error:
                if self._failure is None or self._failure.reason != error.reason:
                    log.warning("key_table.unread", reason=error.reason, error=str(error))
                self._failure = error
                return
            if self._failure is not None or self._snapshot is None:
                log.info("key_table.read", key_count=len(keys), tenant_count=len(tenants))
            for digest in repeated:
                log.warning(
                    "key.repeated", key_id=keys[digest].key_id, tenant_id=keys[digest].tenant
                )
            self._failure = None
            self._snapshot = Snapshot(keys=keys, tenants=tenants, read_at=began)

    async def keep_fresh(self) -> None:
        """Refresh for ever."""
        while True:
            await self.refresh()
            await self._sleep(RETRY_SECONDS if self._failure else self._refresh_seconds)

    async def close(self) -> None:
        await self._reading.close()

    async def add_key(self, key: KeyRecord) -> None:
        async with self._lock:
            await self._keys.insert(key)
            self._put_keys({key.digest: key})

    async def revoke_key(self, key: KeyRecord, *, at: datetime) -> KeyRecord:
        """Revoke `key` here at once, and elsewhere with the next reading; return it revoked."""
        async with self._lock:
            await self._keys.revoke(key.digest, at=at)
            new = revoked(key, at)
            self._put_keys({key.digest: new})
            return new

    async def supersede_key(
        self, key: KeyRecord, *, successor: KeyRecord, expire_time: datetime
    ) -> KeyRecord:
        """Add `successor` and let `key` end at `expire_time`; return the old key."""
        async with self._lock:
            await self._keys.insert(successor)
            await self._keys.supersede(
                key.digest, successor=successor.key_id, expire_time=expire_time
            )
            old = superseded(key, successor.key_id, expire_time)
            self._put_keys({successor.digest: successor, key.digest: old})
            return old

    async def revoke_keys_of(self, tenant: str, *, at: datetime) -> None:
        async with self._lock:
            await self._keys.revoke_all(tenant, at=at)
            keys = self._snapshot.keys_of(tenant) if self._snapshot else []
            self._put_keys({key.digest: revoked(key, at) for key in keys})

    async def touch_keys(self, uses: Mapping[str, datetime]) -> None:
        async with self._lock:
            await self._keys.touch(uses)

    async def add_tenant(self, tenant: Tenant) -> Tenant:
        """Add `tenant` unless its id is there; return what stands."""
        async with self._lock:
            standing = await self._tenants.insert(tenant)
            self._put_tenant(standing)
            return standing

    async def swap_tenant(self, old: Tenant, new: Tenant) -> None:
        async with self._lock:
            await self._tenants.swap(old, new)
            self._put_tenant(new)

    def _put_keys(self, keys: Mapping[str, KeyRecord]) -> None:
        if self._snapshot:
            merged = {**self._snapshot.keys, **keys}
            self._snapshot = dataclasses.replace(self._snapshot, keys=merged)

    def _put_tenant(self, tenant: Tenant) -> None:
        if self._snapshot:
            merged = {**self._snapshot.tenants, tenant.tenant_id: tenant}
            self._snapshot = dataclasses.replace(self._snapshot, tenants=merged)
