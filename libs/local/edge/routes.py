"""Which service of the mesh owns a gRPC method."""

from typing import Final, Literal

Upstream = Literal["auth", "orchestrator"]

SERVICES: Final[dict[str, Upstream]] = {
    "convergence.auth.v1.TenantService": "auth",
    "convergence.auth.v1.ApiKeyService": "auth",
}
"""Services named one by one: auth has a third one, which is for the inside only."""

PREFIXES: Final[dict[str, Upstream]] = {
    "convergence.orchestrator.v1.": "orchestrator",
    "grpc.reflection.": "orchestrator",
}
"""Packages whose services all belong to one server; the orchestrator's reflection knows the whole edge."""


def owner(method: str) -> Upstream | None:
    """Return who serves `/package.Service/Method`; None for what tenants must not see."""
    service = method.removeprefix("/").rpartition("/")[0]
    if service in SERVICES:
        return SERVICES[service]
    return next((to for prefix, to in PREFIXES.items() if service.startswith(prefix)), None)
