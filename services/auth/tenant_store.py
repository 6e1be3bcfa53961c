"""Where tenants are kept: the port, and the implementation in memory."""

from collections.abc import Sequence
from typing import Protocol

from services.auth.tenants import Tenant, TenantNotFound, TenantStale, refuse_confusable


class TenantStore(Protocol):
    """The tenant table. Writes are single statements."""

    async def read(self) -> Sequence[Tenant]:
        """Return all tenants, tombstones included, in no order.

        Raises:
            FailedPrecondition: NOT_INITIALIZED, there is no such table.
            Unavailable: the store does not answer.
        """
        ...

    async def insert(self, tenant: Tenant) -> Tenant:
        """Add `tenant` unless its id is there; return what stands under its id.

        Raises:
            TenantIdConfusable: the id can be confused with one that is there.
        """
        ...

    async def swap(self, old: Tenant, new: Tenant) -> None:
        """Replace `old` by `new`, of the same id.

        Raises:
            TenantStale: what stands has another `update_time` than `old`.
        """
        ...


class MemoryTenantStore:
    """Tenants of one process. `fail_with` makes every call raise it."""

    def __init__(self, *tenants: Tenant) -> None:
        self.fail_with: Exception | None = None
        self._tenants = {tenant.tenant_id: tenant for tenant in tenants}

    async def read(self) -> Sequence[Tenant]:
        self._refuse()
        return list(self._tenants.values())

    async def insert(self, tenant: Tenant) -> Tenant:
        self._refuse()
        refuse_confusable(tenant.tenant_id, self._tenants)
        return self._tenants.setdefault(tenant.tenant_id, tenant)

    async def swap(self, old: Tenant, new: Tenant) -> None:
        self._refuse()
        standing = self._tenants.get(old.tenant_id)
        if standing is None:
            raise TenantNotFound(old.tenant_id)
        if standing.update_time not in (old.update_time, new.update_time):
            raise TenantStale(old.tenant_id)
        self._tenants[old.tenant_id] = new

    def _refuse(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with
