"""`python -m bench.calling`: callers of CreateRun in a process of their own, until told to end.

Reads one line of JSON, `{"address": …, "keys": {tenant: key}, "pause": seconds, "platform": key}`;
each tenant's caller starts runs of its pipeline `p_bill`, one after another with a pause between, and
one more looks at the queue every second. When its input ends it prints one line of JSON: `calls`, pairs
of when a call of CreateRun began and the seconds it took, `waits`, since when chunks of a tenant
waited when it was first seen to wait, and `slots`, the most that all workers were seen to have. Times
are in seconds since 1970.
"""

import asyncio
import json
import sys
import time
from typing import Any, Final

from libs.client import AsyncClient

LOOK_SECONDS: Final = 1.0


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


async def watch(address: str, key: str, waits: dict[str, float], slots: list[int]) -> None:
    """Look at the queue every second, for ever."""
    async with AsyncClient(address, key) as platform:
        while True:
            queue = await platform.runs.queue("tenants/-")
            slots.append(sum(worker.slot_count for worker in queue.workers))
            for one in queue.tenants:
                if one.HasField("wait_start_time"):
                    since = one.wait_start_time.ToNanoseconds() / 1e9
                    waits.setdefault(one.tenant.removeprefix("tenants/"), since)
            await asyncio.sleep(LOOK_SECONDS)


async def called(told: dict[str, Any]) -> dict[str, object]:
    address, pause = told["address"], told["pause"]
    waits, slots = dict[str, float](), [0]
    tasks = [
        asyncio.create_task(call(address, tenant, key, pause))
        for tenant, key in told["keys"].items()
    ]
    watching = asyncio.create_task(watch(address, told["platform"], waits, slots))
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    done, _ = await asyncio.wait([over, watching, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if over not in done:
        raise SystemExit(f"a caller failed: {next(iter(done)).exception()!r}")
    for task in tasks:
        task.cancel()
    watching.cancel()
    calls = sorted(one for took in await asyncio.gather(*tasks) for one in took)
    return {"calls": calls, "waits": waits, "slots": max(slots)}


def main() -> None:
    print(json.dumps(asyncio.run(called(json.loads(sys.stdin.readline())))))


if __name__ == "__main__":
    main()
