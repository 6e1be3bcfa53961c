"""Asks what tenants may have of which something waits for a limit: one that was raised lets it go on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from libs.common.errors import ServiceError
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.runs.records import TenantLimited
from services.orchestrator.schedules.tenants import Tenants

log = structlog.get_logger()

LOOK_SECONDS: Final = 10.0
"""Pause between two looks; a tenant of which nothing waits for a limit is not asked after."""

AT_ONCE: Final = 32
"""Tenants that are asked after at once."""


class Limits:
    """Takes limits that changed into the journal while runs or chunks wait for them.

    Everybody else hears of a change with the tenant's next call, or when its next run is planned;
    what waits for the old limit would wait for that too.
    """

    def __init__(
        self, conductor: Conductor, tenants: Tenants, *, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._conductor = conductor
        self._tenants = tenants
        self._sleep = sleep

    async def follow(self) -> None:
        """Look, for ever."""
        while True:
            await self._sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Ask after every tenant of which something waits; what auth cannot say now is asked again later."""
        limit = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for tenant in self._waiting():
                group.create_task(self._ask(tenant, limit))

    def _waiting(self) -> set[str]:
        """Return the tenants of which a run waits to begin, or a chunk for others of its tenant to end."""
        dispatcher, ledger = self._conductor.mesh.dispatcher, self._conductor.mesh.history.ledger
        capped = {
            one.tenant
            for one in dispatcher.tenants()
            if one.waiting_count and 0 < ledger.share(one.tenant).chunk_count <= one.slot_count
        }
        return capped.union(self._conductor.admission.waiting())

    async def _ask(self, tenant: str, limit: asyncio.Semaphore) -> None:
        history = self._conductor.mesh.history
        async with limit:
            before = history.ledger.share(tenant)
            try:
                share = (await self._tenants.standing(tenant)).share
            except ServiceError as error:
                log.warning("limits.delayed", tenant_id=tenant, cause=str(error))
                return
        if share in (None, before) or history.ledger.share(tenant) != before:
            return
        history.decide(None, TenantLimited(tenant=tenant, share=share))
        log.info("limits.changed", tenant_id=tenant)
        self._conductor.admission.look_again(tenant)
        self._conductor.mesh.dispatcher.limit(tenant, share)
