"""Health of the edge: it serves when everything behind it does."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.local.edge.routes import Upstream, owner

Status = health_pb2.HealthCheckResponse
PATIENCE_SECONDS = 2.0
POLL_SECONDS = 1.0


class EdgeHealth(health_pb2_grpc.HealthServicer):
    """Answers for the edge (`""`), for its event loop (`liveness`) and for single services."""

    def __init__(self, channels: Mapping[Upstream, grpc.aio.Channel]) -> None:
        self._stubs: dict[Upstream, Any] = {
            name: health_pb2_grpc.HealthStub(channel) for name, channel in channels.items()
        }

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        status = await self._status(request.service)
        if status == Status.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
        return Status(status=status)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        del context
        last = None
        while True:
            status = await self._status(request.service)
            if status != last:
                yield Status(status=status)
            last = status
            await asyncio.sleep(POLL_SECONDS)

    async def _status(self, service: str) -> int:
        if service == "liveness":
            return Status.SERVING
        wanted = self._stubs if not service else {owner(f"/{service}/"): None}
        if None in wanted or (service and service.startswith("grpc.")):
            return Status.SERVICE_UNKNOWN
        answers = await asyncio.gather(*(self._serves(name) for name in wanted if name))
        return Status.SERVING if all(answers) else Status.NOT_SERVING

    async def _serves(self, name: Upstream) -> bool:
        try:
            answer = await self._stubs[name].Check(
                health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == Status.SERVING)
