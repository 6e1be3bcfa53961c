"""Starts the edge and stops it on SIGTERM."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Mapping
from typing import Final

import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from libs.local.edge.forwarding import Forwarder
from libs.local.edge.health import EdgeHealth
from libs.local.edge.routes import Upstream

SERVER_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
"""Keepalive finds a hung service; retries are the client's, which knows what is safe to repeat."""


@contextlib.asynccontextmanager
async def edge(listen: str, addresses: Mapping[Upstream, str]) -> AsyncGenerator[int]:
    """Serve at `listen` while the block runs; yield the port.

    Raises:
        RuntimeError: The address is in use or not of this machine.
    """
    async with contextlib.AsyncExitStack() as stack:
        channels: dict[Upstream, grpc.aio.Channel] = {}
        for name, address in addresses.items():
            channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            channels[name] = await stack.enter_async_context(channel)
        server = grpc.aio.server(options=SERVER_OPTIONS)
        server.add_generic_rpc_handlers((Forwarder(channels),))
        health_pb2_grpc.add_HealthServicer_to_server(EdgeHealth(channels), server)
        port = server.add_insecure_port(listen)
        await server.start()
        try:
            yield port
        finally:
            await server.stop(grace=1.0)


async def run(listen: str, addresses: Mapping[Upstream, str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with edge(listen, addresses):
        await stop.wait()
