"""TenantService: translates, and decides nothing."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from convergence.auth.v1 import tenant_pb2
from convergence.auth.v1 import tenant_service_pb2 as pb
from convergence.auth.v1 import tenant_service_pb2_grpc as pb_grpc

from libs.common.names import TENANT_ID, TenantName, checked
from libs.common.paging import Page
from libs.common.parse import Reading, moment
from libs.common.rpc import Context
from services.auth import tenants
from services.auth.limit_messages import limits_message, limits_of
from services.auth.tenant_admin import TenantAdmin
from services.auth.tenants import Limits, Tenant, TenantState


class TenantServicer(pb_grpc.TenantServiceServicer):
    """Creates, changes and deletes tenants."""

    def __init__(self, admin: TenantAdmin, *, now: Callable[[], datetime]) -> None:
        self._admin = admin
        self._now = now

    async def CreateTenant(
        self, request: pb.CreateTenantRequest, context: Context
    ) -> pb.CreateTenantResponse:
        now = self._now()
        with Reading() as read:
            tenant_id = read("tenant_id", _tenant_id, request.tenant_id)
            fields = {field: _read_field(read, field, request.tenant) for field in tenants.CONTENT}
        tenant = Tenant(tenant_id=tenant_id, create_time=now, update_time=now, **fields)
        return pb.CreateTenantResponse(tenant=_tenant(await self._admin.create(tenant)))

    async def GetTenant(
        self, request: pb.GetTenantRequest, context: Context
    ) -> pb.GetTenantResponse:
        with Reading() as read:
            name = read("name", TenantName.parse, request.name)
        return pb.GetTenantResponse(tenant=_tenant(await self._admin.get(name.tenant)))

    async def ListTenants(
        self, request: pb.ListTenantsRequest, context: Context
    ) -> pb.ListTenantsResponse:
        query = f"tenants, deleted {request.show_deleted}"
        page = Page(asked=request.page_size, token=request.page_token, query=query)
        found, token = page.of(await self._admin.list(show_deleted=request.show_deleted))
        return pb.ListTenantsResponse(
            tenants=[_tenant(tenant) for tenant in found], next_page_token=token
        )

    async def UpdateTenant(
        self, request: pb.UpdateTenantRequest, context: Context
    ) -> pb.UpdateTenantResponse:
        with Reading() as read:
            name = read("tenant.name", TenantName.parse, request.tenant.name)
            paths = read("update_mask", _mask, request.update_mask.paths)
        with Reading() as read:
            changes = {field: _read_field(read, field, request.tenant) for field in paths}
            expected = None
            if request.HasField("expected_update_time"):
                expected = read("expected_update_time", moment, request.expected_update_time)
        tenant = await self._admin.update(name.tenant, changes, expected_update_time=expected)
        return pb.UpdateTenantResponse(tenant=_tenant(tenant))

    async def DeleteTenant(
        self, request: pb.DeleteTenantRequest, context: Context
    ) -> pb.DeleteTenantResponse:
        with Reading() as read:
            name = read("name", TenantName.parse, request.name)
        return pb.DeleteTenantResponse(tenant=_tenant(await self._admin.delete(name.tenant)))


def _tenant_id(text: str) -> str:
    return checked(text, TENANT_ID, "tenant")


def _state(value: int) -> TenantState:
    states: dict[int, TenantState] = {
        tenant_pb2.TENANT_STATE_ACTIVE: TenantState.ACTIVE,
        tenant_pb2.TENANT_STATE_SUSPENDED: TenantState.SUSPENDED,
    }
    if value not in states:
        raise ValueError(
            f"found {value}; allowed are TENANT_STATE_ACTIVE and TENANT_STATE_SUSPENDED; to delete call DeleteTenant"
        )
    return states[value]


def _plain(field: str, tenant: tenant_pb2.Tenant) -> object:
    if field == "limits":
        return limits_of(tenant.limits)
    name, _, limit = field.partition(".")
    return getattr(tenant.limits, limit) if limit else getattr(tenant, name)


def _read_field(read: Reading, field: str, tenant: tenant_pb2.Tenant) -> Any:
    return read(f"tenant.{field}", FIELDS[field], _plain(field, tenant))


def _not_built(check: Callable[[Any], Any], why: str) -> Callable[[Any], object]:
    """Return a reading that refuses what nothing would act on: an EU that data does not stay in."""

    def read(value: Any) -> object:
        if found := check(value):
            raise ValueError(f"found {found!r}; allowed is nothing in this version: {why}")
        return found

    return read


FIELDS: Final[dict[str, Callable[[Any], object]]] = {
    "display_name": tenants.checked_display_name,
    "state": _state,
    "bigquery_project": _not_built(
        lambda text: tenants.checked_optional(text, tenants.PROJECT, "my-project"),
        "every tenant's tables are in the platform's project",
    ),
    "bigquery_location": _not_built(
        lambda text: tenants.checked_optional(text, tenants.LOCATION, "EU"),
        "every tenant's tables are in the platform's location",
    ),
    "service_account": lambda text: tenants.checked_optional(
        text, tenants.SERVICE_ACCOUNT, "loader@my-project.iam.gserviceaccount.com"
    ),
    "source_prefixes": tenants.checked_prefixes,
    "limits": tenants.checked_limits,
    **{
        f"limits.{field.name}": functools.partial(tenants.checked_limit, field.name)
        for field in dataclasses.fields(Limits)
    },
}
"""How the value at each path of a tenant is read."""

CHANGEABLE: Final = tuple(field for field in FIELDS if field != "bigquery_location")


def _mask(paths: Sequence[str]) -> list[str]:
    if not paths or (wrong := sorted(set(paths) - set(CHANGEABLE))):
        found = ", ".join(wrong) if paths else "nothing"
        raise ValueError(f"found {found}; allowed are {', '.join(CHANGEABLE)}")
    return sorted(set(paths))


def _tenant(tenant: Tenant) -> tenant_pb2.Tenant:
    return tenant_pb2.Tenant(
        name=str(TenantName(tenant.tenant_id)),
        display_name=tenant.display_name,
        state=f"TENANT_STATE_{tenant.state.name}",
        bigquery_project=tenant.bigquery_project,
        bigquery_location=tenant.bigquery_location,
        service_account=tenant.service_account,
        source_prefixes=tenant.source_prefixes,
        limits=limits_message(tenant.limits),
        create_time=tenant.create_time,
        update_time=tenant.update_time,
    )
