"""Where API keys are kept: the port, and the implementation in memory."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from services.auth.keys import KeyRecord


class KeyStore(Protocol):
    """The key table.

    Each write is one statement, repeatable, and touches only the fields it names, so that a key
    revoked by SQL in the meantime stays revoked.
    """

    async def read(self) -> Sequence[KeyRecord]:
        """Return all keys, in no order.

        Raises:
            FailedPrecondition: NOT_INITIALIZED, there is no such table.
            Unavailable: the store does not answer.
        """
        ...

    async def insert(self, key: KeyRecord) -> None:
        """Add `key` unless its digest is there already."""
        ...

    async def supersede(self, digest: str, *, successor: str, expire_time: datetime) -> None:
        """Let a key end at `expire_time`, or before if it does already, in favour of `successor`."""
        ...

    async def revoke(self, digest: str, *, at: datetime) -> None:
        """Revoke a key; the first time of revoking stays."""
        ...

    async def revoke_all(self, tenant: str, *, at: datetime) -> None:
        """Revoke all keys of a tenant that are not revoked yet."""
        ...

    async def touch(self, uses: Mapping[str, datetime]) -> None:
        """Note the last use of keys by digest; an older time changes nothing."""
        ...


class MemoryKeyStore:
    """Keys of one process. `fail_with` makes every call raise it."""

    def __init__(self, *keys: KeyRecord) -> None:
        self.fail_with: Exception | None = None
        self.reads = 0
        self._keys = {key.digest: key for key in keys}

    async def read(self) -> Sequence[KeyRecord]:
        self.reads += 1
        self._refuse()
        return list(self._keys.values())

    async def insert(self, key: KeyRecord) -> None:
        self._refuse()
        self._keys.setdefault(key.digest, key)

    async def supersede(self, digest: str, *, successor: str, expire_time: datetime) -> None:
        self._refuse()
        if key := self._keys.get(digest):
            self._keys[digest] = superseded(key, successor, expire_time)

    async def revoke(self, digest: str, *, at: datetime) -> None:
        self._refuse()
        if key := self._keys.get(digest):
            self._keys[digest] = revoked(key, at)

    async def revoke_all(self, tenant: str, *, at: datetime) -> None:
        self._refuse()
        self._keys = {
            digest: revoked(key, at) if key.tenant == tenant else key
            for digest, key in self._keys.items()
        }

    async def touch(self, uses: Mapping[str, datetime]) -> None:
        self._refuse()
        for digest, at in uses.items():
            key = self._keys.get(digest)
            if key and (key.last_use_time is None or key.last_use_time < at):
                self._keys[digest] = dataclasses.replace(key, last_use_time=at)

    def _refuse(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with


def revoked(key: KeyRecord, at: datetime) -> KeyRecord:
    """Return `key` as it is after revoking it at `at`."""
    return dataclasses.replace(key, active=False, revoke_time=key.revoke_time or at)


def superseded(key: KeyRecord, successor: str, expire_time: datetime) -> KeyRecord:
    """Return `key` as it is after a rotation."""
    ends = expire_time if key.expire_time is None else min(key.expire_time, expire_time)
    return dataclasses.replace(key, superseded_by=successor, expire_time=ends)
