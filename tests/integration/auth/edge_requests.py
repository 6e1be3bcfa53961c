"""A request of each RPC of auth's edge, and what each needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from convergence.auth.v1 import api_key_service_pb2 as keys_pb
from convergence.auth.v1 import tenant_pb2
from convergence.auth.v1 import tenant_service_pb2 as tenants_pb
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from tests.integration.auth.serving import key

if TYPE_CHECKING:
    from tests.integration.auth.serving import Served

KEY_METHODS: Final = frozenset({"CreateApiKey", "ListApiKeys", "RotateApiKey", "RevokeApiKey"})

REQUESTS: Final[dict[str, Callable[[str], Message]]] = {
    "CreateTenant": lambda t: tenants_pb.CreateTenantRequest(tenant_id=t),
    "GetTenant": lambda t: tenants_pb.GetTenantRequest(name=f"tenants/{t}"),
    "ListTenants": lambda _: tenants_pb.ListTenantsRequest(),
    "UpdateTenant": lambda t: tenants_pb.UpdateTenantRequest(
        tenant=tenant_pb2.Tenant(name=f"tenants/{t}", display_name="New"),
        update_mask=FieldMask(paths=["display_name"]),
    ),
    "DeleteTenant": lambda t: tenants_pb.DeleteTenantRequest(name=f"tenants/{t}"),
    "CreateApiKey": lambda t: keys_pb.CreateApiKeyRequest(parent=f"tenants/{t}"),
    "ListApiKeys": lambda t: keys_pb.ListApiKeysRequest(parent=f"tenants/{t}"),
    "RotateApiKey": lambda t: keys_pb.RotateApiKeyRequest(name=f"tenants/{t}/apiKeys/knone"),
    "RevokeApiKey": lambda t: keys_pb.RevokeApiKeyRequest(name=f"tenants/{t}/apiKeys/knone"),
}
"""By tenant; keys are named that are not there."""


async def ask(auth: Served, method: str, request: Message, *, secret: str) -> Any:
    """Call a method of auth's edge by name."""
    stub: Any = auth.key_service if method in KEY_METHODS else auth.tenant_service
    shown = key(secret) if secret else ()
    return await getattr(stub, method)(request, metadata=shown, timeout=10)
