"""Which service of the mesh owns a gRPC method, and whether its request is one message."""

from typing import Final, Literal

from convergence.auth.v1 import api_key_service_pb2, tenant_service_pb2
from convergence.orchestrator.v1 import (
    backfill_service_pb2,
    pipeline_service_pb2,
    run_service_pb2,
    schedule_service_pb2,
)

Upstream = Literal["auth", "orchestrator"]

SERVICES: Final[dict[str, Upstream]] = {
    "convergence.auth.v1.TenantService": "auth",
    "convergence.auth.v1.ApiKeyService": "auth",
}
"""Services named one by one: auth has a third one, which is for the inside only."""

PREFIXES: Final[dict[str, Upstream]] = {
    "convergence.orchestrator.v1.": "orchestrator",
    "grpc.reflection.v1alpha.": "orchestrator",
}
"""Packages whose services all belong to one server; the orchestrator's reflection knows the whole edge."""

WHOLE: Final = frozenset(
    f"/{service.full_name}/{method.name}"
    for file in (
        tenant_service_pb2,
        api_key_service_pb2,
        pipeline_service_pb2,
        run_service_pb2,
        backfill_service_pb2,
        schedule_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not method.client_streaming
)
"""Methods whose request is one message."""


def owner(method: str) -> Upstream | None:
    """Return who serves `/package.Service/Method`; None for what tenants must not see."""
    service = method.removeprefix("/").rpartition("/")[0]
    if service in SERVICES:
        return SERVICES[service]
    return next((to for prefix, to in PREFIXES.items() if service.startswith(prefix)), None)
