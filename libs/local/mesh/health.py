"""Asks the processes of a mesh whether they serve."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.local.mesh.states import Process

SERVING: Final = "SERVING"
UNREACHABLE: Final = "UNREACHABLE"
PATIENCE_SECONDS: Final = 1.0


async def check(processes: Iterable[Process]) -> dict[str, str]:
    """Return by name `SERVING`, `NOT_SERVING` or `UNREACHABLE`."""
    asked = list(processes)
    answers = await asyncio.gather(*map(_ask, asked))
    return {process.name: answer for process, answer in zip(asked, answers, strict=True)}


async def _ask(process: Process) -> str:
    if process.phase != "running":
        return UNREACHABLE
    if "rest" in process.addresses:
        return await asyncio.to_thread(_ask_rest, process.addresses["rest"])
    return await _ask_grpc(process.addresses["grpc"])


async def _ask_grpc(address: str) -> str:
    options = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError:
            return UNREACHABLE
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def _ask_rest(address: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://{address}/healthz"
    try:
        with opener.open(url, timeout=PATIENCE_SECONDS) as answer:
            return SERVING if answer.status == 200 else "NOT_SERVING"
    except (OSError, urllib.error.URLError):
        return UNREACHABLE
