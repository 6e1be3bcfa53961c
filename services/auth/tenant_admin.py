"""Creates, changes and deletes tenants."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from services.auth.directory import Directory
from services.auth.tenants import (
    Tenant,
    TenantDeleted,
    TenantExists,
    TenantNotFound,
    TenantStale,
    TenantState,
    differing,
    refuse_confusable,
)

TRIES: Final = 5
"""Of a change that says of no reading that it is based on it: others may change the tenant meanwhile."""

log = structlog.get_logger(__name__)


class TenantAdmin:
    """What TenantService promises, over the directory."""

    def __init__(self, directory: Directory, *, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._now = now

    async def create(self, tenant: Tenant) -> Tenant:
        """Add `tenant` and return it; one that stands with the same content is returned as it is.

        Raises:
            TenantIdConfusable: with another tenant, be it a tombstone.
            TenantExists: with other content.
            TenantDeleted: the id is that of a tombstone.
        """
        snapshot = await self._directory.ready()
        refuse_confusable(tenant.tenant_id, snapshot.tenants)
        standing = await self._directory.add_tenant(tenant)
        if standing.state is TenantState.DELETED:
            raise TenantDeleted(tenant.tenant_id)
        if fields := differing(standing, tenant):
            raise TenantExists(tenant.tenant_id, fields)
        if standing == tenant:
            log.info("tenant.created", tenant_id=tenant.tenant_id)
        return standing

    async def get(self, tenant_id: str) -> Tenant:
        """Return a tenant, be it a tombstone; raise TenantNotFound."""
        for snapshot in (self._directory.ready, self._directory.reread):
            if tenant := (await snapshot()).tenants.get(tenant_id):
                return tenant
        raise TenantNotFound(tenant_id)

    async def list(self, *, show_deleted: bool) -> list[Tenant]:
        """Return tenants by id, tombstones only if asked for."""
        tenants = (await self._directory.ready()).tenants
        return [
            tenants[tenant_id]
            for tenant_id in sorted(tenants)
            if show_deleted or tenants[tenant_id].state is not TenantState.DELETED
        ]

    async def update(
        self,
        tenant_id: str,
        changes: Mapping[str, object],
        *,
        expected_update_time: datetime | None,
    ) -> Tenant:
        """Set the values at paths, and leave everything else as whoever else changes it.

        A call that would change nothing returns the tenant as it is.

        Args:
            tenant_id: Which.
            changes: As `Tenant.changed` takes them.
            expected_update_time: Refuse if the tenant was changed after it; None means never.

        Raises:
            TenantNotFound, TenantDeleted: there is no such tenant (any more).
            TenantStale: it was changed after `expected_update_time`; with None, again and again.
        """
        for _ in range(TRIES - 1):
            with contextlib.suppress(TenantStale):
                return await self._update(tenant_id, changes, expected_update_time)
            if expected_update_time is not None:
                break
        return await self._update(tenant_id, changes, expected_update_time)

    async def _update(
        self, tenant_id: str, changes: Mapping[str, object], expected_update_time: datetime | None
    ) -> Tenant:
        old = await self.get(tenant_id)
        if old.state is TenantState.DELETED:
            raise TenantDeleted(tenant_id)
        if old.changed(changes) == old:
            return old
        if expected_update_time not in (None, old.update_time):
            raise TenantStale(tenant_id)
        return await self._swap(old, changes)

    async def delete(self, tenant_id: str) -> Tenant:
        """Suspend, revoke the keys, leave a tombstone; a repeat goes on where the first one stopped."""
        tenant = await self.get(tenant_id)
        if tenant.state is TenantState.DELETED:
            return tenant
        if tenant.state is TenantState.ACTIVE:
            tenant = await self._swap(tenant, {"state": TenantState.SUSPENDED})
        await self._directory.revoke_keys_of(tenant_id, at=self._now())
        return await self._swap(tenant, {"state": TenantState.DELETED})

    async def _swap(self, old: Tenant, changes: Mapping[str, object]) -> Tenant:
        at = max(self._now(), old.update_time + timedelta(microseconds=1))
        new = dataclasses.replace(old.changed(changes), update_time=at)
        try:
            await self._directory.swap_tenant(old, new)
        except TenantStale:
            await self._directory.refresh()
            raise
        if new.state is not old.state:
            log.info("tenant.moved", tenant_id=new.tenant_id, state=new.state)
        return new
