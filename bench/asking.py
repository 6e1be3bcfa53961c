"""`python -m bench.asking JSON`: a caller of GetRun and of health checks in a process of its own.

Told `address`, `key`, `name`, `seconds`, `at_once` and which `calls`; prints the median and p99 of each
in milliseconds, how many there were of the last one, and the rate of them.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import uvloop
from convergence.orchestrator.v1 import run_service_pb2, run_service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.minute_figures import quantile

WARM: float = 2.0


async def repeated(call: Callable[[], Awaitable[object]], seconds: float) -> list[float]:
    """Call again and again for so long; return the seconds of each call."""
    took, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await call()
        took.append(time.perf_counter() - began)
    return took


async def asked(told: dict[str, Any]) -> dict[str, float]:
    async with grpc.aio.insecure_channel(told["address"]) as channel:
        runs = run_service_pb2_grpc.RunServiceStub(channel)
        health: Any = health_pb2_grpc.HealthStub(channel)
        key = (("x-api-key", told["key"]),)

        async def get() -> None:
            await runs.GetRun(run_service_pb2.GetRunRequest(name=told["name"]), metadata=key)

        async def check() -> None:
            await health.Check(health_pb2.HealthCheckRequest())

        found = dict[str, float]()
        calls = {"health": check, "run": get}
        for what in told["calls"]:
            call = calls[what]
            await asyncio.gather(*(repeated(call, WARM) for _ in range(told["at_once"])))
            began = time.perf_counter()
            each = [repeated(call, told["seconds"]) for _ in range(told["at_once"])]
            took = sorted(x for one in await asyncio.gather(*each) for x in one)
            found |= {
                f"{what}_p50": quantile(took, 0.5) * 1000,
                f"{what}_p99": quantile(took, 0.99) * 1000,
                "count": len(took),
                "rate": len(took) / (time.perf_counter() - began),
            }
        return found


if __name__ == "__main__":
    print(json.dumps(uvloop.run(asked(json.loads(sys.argv[1])))))
