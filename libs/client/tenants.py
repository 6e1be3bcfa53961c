"""Tenants of the platform."""

from collections.abc import Iterable, Sequence

from convergence.auth.v1 import tenant_service_pb2 as pb
from convergence.auth.v1.tenant_pb2 import Tenant, TenantState
from convergence.auth.v1.tenant_service_pb2_grpc import TenantServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from libs.client.connection import Connection, pages


class AsyncTenants:
    """Creates and ends tenants. Needs scope `platform:admin`, `get` of an own tenant `tenant:admin`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = TenantServiceStub(connection.channel)

    async def create(self, tenant_id: str, tenant: Tenant | None = None) -> Tenant:
        """Return the tenant `tenant_id`, created unless it was there with the same content."""
        request = pb.CreateTenantRequest(tenant_id=tenant_id, tenant=tenant or Tenant())
        return (await self._connection.call(self._stub.CreateTenant, request)).tenant

    async def get(self, name: str) -> Tenant:
        """Return `tenants/{tenant}`."""
        request = pb.GetTenantRequest(name=name)
        return (await self._connection.call(self._stub.GetTenant, request)).tenant

    async def list(
        self, *, show_deleted: bool = False, limit: int | None = None
    ) -> Sequence[Tenant]:
        """Return tenants by id, tombstones among them if asked for."""

        async def fetch(token: str, size: int) -> tuple[Iterable[Tenant], str]:
            request = pb.ListTenantsRequest(
                page_size=size, page_token=token, show_deleted=show_deleted
            )
            page = await self._connection.call(self._stub.ListTenants, request)
            return page.tenants, page.next_page_token

        return await pages(fetch, limit)

    async def update(self, tenant: Tenant, *fields: str) -> Tenant:
        """Return the tenant `tenant.name` after `fields` were set to what `tenant` holds.

        A field may be a path: `limits.chunk_count` leaves the other limits as they are.
        """
        request = pb.UpdateTenantRequest(tenant=tenant, update_mask=FieldMask(paths=fields))
        return (await self._connection.call(self._stub.UpdateTenant, request)).tenant

    async def suspend(self, name: str) -> Tenant:
        """Stop the tenant: it starts nothing, and its runs before publishing are cancelled."""
        return await self.update(
            Tenant(name=name, state=TenantState.TENANT_STATE_SUSPENDED), "state"
        )

    async def resume(self, name: str) -> Tenant:
        """Let a suspended tenant go on."""
        return await self.update(Tenant(name=name, state=TenantState.TENANT_STATE_ACTIVE), "state")

    async def delete(self, name: str) -> Tenant:
        """Revoke the tenant's keys, drop its datasets and leave a tombstone, which is returned."""
        request = pb.DeleteTenantRequest(name=name)
        return (await self._connection.call(self._stub.DeleteTenant, request)).tenant
