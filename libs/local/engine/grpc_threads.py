"""The gRPC server: a thread for each call, and none of them the REST server's."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from bqemulator import server as emulator
from bqemulator.domain.errors import DomainError
from bqemulator.grpc_api.read_servicer import BigQueryReadHandler
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

APPEND_CONNECTIONS = 256
ROOM_BYTES = 1024 * 1024


def many_append_connections() -> None:
    """Serve gRPC from APPEND_CONNECTIONS threads: each open append connection occupies one.

    Stock has as many as the processors and four, and every message passes through the event loop,
    on which statements, seals and commits run: meanwhile no append is answered.
    """
    emulator.build_grpc_server = _built


def _built(context: Any) -> tuple[_Server, int]:
    limit = context.settings.write_api_max_request_bytes + ROOM_BYTES
    server = grpc.server(
        ThreadPoolExecutor(APPEND_CONNECTIONS, thread_name_prefix="append"),
        interceptors=[_Translating()],
        options=[
            ("grpc.max_send_message_length", limit),
            ("grpc.max_receive_message_length", limit),
        ],
    )
    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    handlers = (BigQueryReadHandler(context), BigQueryWriteHandler(context))
    server.add_generic_rpc_handlers(handlers)
    address = f"{context.settings.grpc_host}:{context.settings.grpc_port}"
    return _Server(server), server.add_insecure_port(address)


class _Server:
    """What the emulator awaits of its server."""

    def __init__(self, server: grpc.Server) -> None:
        self._server = server

    async def start(self) -> None:
        self._server.start()

    async def stop(self, grace: float) -> None:
        await asyncio.to_thread(self._server.stop(grace).wait)


class _Translating(grpc.ServerInterceptor):
    """Answers a DomainError of a single call with its code and message."""

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            _translated(handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _translated(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def translated(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(request, context)
        except DomainError as error:
            context.abort(grpc.StatusCode[error.grpc_status_name], error.message)

    return translated
