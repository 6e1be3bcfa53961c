"""What must be known of a tenant before a schedule of it fires, or while it waits for its limits: the port, and one in memory."""

import dataclasses
from typing import Protocol

from services.orchestrator.runs.records import Share


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a tenant may start.

    `refusal` says why it may start nothing, empty if it may; `share` what its runs may have.
    """

    refusal: str = ""
    share: Share | None = None


class Tenants(Protocol):
    """Tells how tenants stand now."""

    async def standing(self, tenant: str) -> Standing:
        """Return how a tenant stands. Raises a ServiceError while nobody can tell."""
        ...


class MemoryTenants:
    """Tenants that stand as they were put; others are active. A dial: `away` fails every call."""

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.away: Exception | None = None
        self.asked: list[str] = []

    async def standing(self, tenant: str) -> Standing:
        self.asked.append(tenant)
        if self.away is not None:
            raise self.away
        return self.standings.get(tenant, Standing())
