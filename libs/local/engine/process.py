"""The engine's life: claim the directory and the ports, serve, say so, and stop quickly."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
from pathlib import Path
from typing import IO

from bqemulator.config import PersistenceMode, Settings
from bqemulator.server import EmulatorServer

from libs.local.engine.fixes import apply
from libs.local.engine.logs import LEVEL
from libs.local.engine.options import Options
from libs.local.engine.refusal import Refused

HOST = "127.0.0.1"
STOP_SECONDS = 0.3


def run(options: Options, announcements: IO[str]) -> None:
    """Serve until SIGTERM or SIGINT, having written one JSON line; raise Refused if it cannot."""
    apply(without=options.without)
    with contextlib.ExitStack() as held:
        if options.data_dir is not None:
            held.enter_context(_claim(options.data_dir))
        for port in (options.rest_port, options.grpc_port):
            _require_free(port)
        asyncio.run(_serve(_settings(options), announcements))
        # Threads of append connections that clients left open would hold up the interpreter's end.
        os._exit(0)


def _settings(options: Options) -> Settings:
    stored = options.data_dir is not None
    return Settings(
        persistence_mode=PersistenceMode.PERSISTENT if stored else PersistenceMode.EPHEMERAL,
        data_dir=options.data_dir,
        default_project_id=options.project,
        rest_host=HOST,
        rest_port=options.rest_port,
        grpc_host=HOST,
        grpc_port=options.grpc_port,
        log_level=LEVEL,
        enable_format_extensions=False,
    )


def _claim(data_dir: Path) -> IO[str]:
    """Lock `data_dir` until the returned file is closed or the process ends."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "engine.lock").open("a", encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"cannot write to the data directory {data_dir} ({error.strerror}): "
            "choose another --data-dir"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Refused(
            f"another embedded BigQuery is using {data_dir}: stop it first, "
            "or choose another --data-dir"
        ) from error
    return lock


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            raise Refused(
                f"port {port} on {HOST} cannot be used ({error.strerror}): stop what listens "
                "there, or choose another --rest-port or --grpc-port (0 takes a free one)"
            ) from error


async def _serve(settings: Settings, announcements: IO[str]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = EmulatorServer(settings)
    await server.start()
    await asyncio.to_thread(_answer, server.rest_port)
    _announce(server, announcements)
    await stop.wait()
    await _close(server)


def _answer(port: int) -> None:
    """Wait for one answer; raise OSError if there is none in time."""
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=10)) as connection:
        connection.request("GET", "/healthz")
        connection.getresponse().read()


def _announce(server: EmulatorServer, announcements: IO[str]) -> None:
    ready = {
        "event": "engine.ready",
        "bigquery_rest": server.rest_url,
        "bigquery_grpc": server.grpc_endpoint,
    }
    print(json.dumps(ready), file=announcements, flush=True)


async def _close(server: EmulatorServer) -> None:
    """Stop both servers within about STOP_SECONDS each, then close the database."""
    await server._grpc_server.stop(grace=STOP_SECONDS)
    server._fastapi_server.force_exit = True
    server._fastapi_server.should_exit = True
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server._fastapi_task, STOP_SECONDS)
    await server._engine.stop()
