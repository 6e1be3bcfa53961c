"""The client for asyncio."""

from types import TracebackType
from typing import Self

from libs.client.backfills import AsyncBackfills
from libs.client.connection import CALL_SECONDS, Connection
from libs.client.keys import AsyncKeys
from libs.client.pipelines import AsyncPipelines
from libs.client.runs import AsyncRuns
from libs.client.schedules import AsyncSchedules
from libs.client.tenants import AsyncTenants


class AsyncClient:
    """Calls an edge with one API key.

    Example:
        async with AsyncClient("localhost:50051", key) as client:
            run = await client.runs.start_and_wait("tenants/acme_corp/pipelines/p_focus_billing")

    Args:
        address: `host:port` (plain text for loopback, else TLS), `https://…` or `http://…`.
        api_key: Sent with every call, kept nowhere else.
        call_seconds: How long a call may take, its repeats included; watching has no limit.
    """

    def __init__(
        self, address: str, api_key: str = "", *, call_seconds: float = CALL_SECONDS
    ) -> None:
        self._connection = Connection(address, api_key, call_seconds=call_seconds)
        self.pipelines = AsyncPipelines(self._connection)
        self.runs = AsyncRuns(self._connection)
        self.backfills = AsyncBackfills(self._connection)
        self.schedules = AsyncSchedules(self._connection)
        self.tenants = AsyncTenants(self._connection)
        self.keys = AsyncKeys(self._connection)

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
