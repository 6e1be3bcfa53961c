"""The engine's life: open the tables, serve, say so, and stop quickly."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import http.client
import json
import os
import signal
from typing import IO

import duckdb
from bqemulator.config import PersistenceMode, Settings
from bqemulator.server import EmulatorServer

from libs.local.engine.fixes import apply
from libs.local.engine.logs import LEVEL
from libs.local.engine.options import Options
from libs.local.engine.places import require_free
from libs.local.engine.refusal import Refused

STOP_SECONDS = 0.3


def run(options: Options, announcements: IO[str]) -> None:
    """Serve until SIGTERM or SIGINT, having written one JSON line; raise Refused if it cannot.

    SIGUSR1 writes to stderr where each thread is.
    """
    faulthandler.register(signal.SIGUSR1)
    apply(without=options.without)
    asyncio.run(_serve(_settings(options), announcements))
    # Threads of append connections that clients left open would hold up the interpreter's end.
    os._exit(0)


def _settings(options: Options) -> Settings:
    stored = options.data_dir is not None
    return Settings(
        persistence_mode=PersistenceMode.PERSISTENT if stored else PersistenceMode.EPHEMERAL,
        data_dir=options.data_dir,
        default_project_id=options.project,
        rest_host=options.host,
        rest_port=options.rest_port,
        grpc_host=options.host,
        grpc_port=options.grpc_port,
        log_level=LEVEL,
        enable_format_extensions=False,
    )


async def _serve(settings: Settings, announcements: IO[str]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = EmulatorServer(settings)
    require_free(settings.rest_host, settings.rest_port, settings.grpc_port)
    try:
        await server.start()
    except duckdb.Error as error:
        raise Refused(
            f"cannot open the tables in {settings.data_dir} ({_first_line(error)}): "
            "choose another --data-dir, or remove this one to begin anew"
        ) from error
    await asyncio.to_thread(_answer, settings.rest_host, server.rest_port)
    _announce(server, announcements)
    await stop.wait()
    await _close(server)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _answer(host: str, port: int) -> None:
    """Wait for one answer; raise OSError if there is none in time."""
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
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
