"""`python -m bench.calling`: callers of CreateRun in a process of their own, until told to end.

Reads one line of JSON, `{"address": …, "keys": {tenant: key}, "pause": seconds}`; each tenant's caller
starts runs of its pipeline `p_bill`, one after another with a pause between. When its input ends it
prints one line of JSON: pairs of when a call of CreateRun began, in seconds since 1970, and the seconds
it took.
"""

import asyncio
import json
import sys
import time
from typing import Any

from libs.client import AsyncClient


async def call(address: str, tenant: str, key: str, pause: float) -> list[tuple[float, float]]:
    """Start runs of a tenant's pipeline until cancelled; return when, and how long each call took."""
    took: list[tuple[float, float]] = []
    async with AsyncClient(address, key) as client:
        try:
            while True:
                at, began = time.time(), time.perf_counter()
                await client.runs.start(f"tenants/{tenant}/pipelines/p_bill")
                took.append((at, time.perf_counter() - began))
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            return took


async def called(told: dict[str, Any]) -> list[tuple[float, float]]:
    address, pause = told["address"], told["pause"]
    tasks = [
        asyncio.create_task(call(address, tenant, key, pause))
        for tenant, key in told["keys"].items()
    ]
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    done, _ = await asyncio.wait([over, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if over not in done:
        raise SystemExit(f"a caller failed: {next(iter(done)).exception()!r}")
    for task in tasks:
        task.cancel()
    return sorted(one for took in await asyncio.gather(*tasks) for one in took)


def main() -> None:
    print(json.dumps(asyncio.run(called(json.loads(sys.stdin.readline())))))


if __name__ == "__main__":
    main()
