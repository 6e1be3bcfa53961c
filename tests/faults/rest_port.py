"""BigQuery's REST port with answers of its own: it refuses, or does the work and says that it failed."""

from collections import deque
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp import web

from tests.faults.odometer import Odometer

REASONS: Final = {429: "rateLimitExceeded", 500: "internalError", 503: "backendError"}
OWN_HOP: Final = frozenset({"host", "transfer-encoding", "content-length", "connection", "date"})

Struck = Callable[[str, str], None]
"""Told of every fault that a call met: its kind, and what was called."""


class RestPort:
    """Forwards every request, but for those that a fault was armed for."""

    def __init__(self, upstream: Callable[[], str], odometer: Odometer, struck: Struck) -> None:
        self._upstream, self._odometer, self._struck = upstream, odometer, struck
        self._armed: deque[str] = deque()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.address = ""

    def arm(self, kind: str, count: int) -> None:
        """Give the next `count` requests this answer: `rest_429`, `rest_500`, `rest_503`, or `rest_lost`."""
        self._armed.extend([kind] * count)

    @property
    def armed(self) -> bool:
        """Whether a fault waits for its call."""
        return bool(self._armed)

    def disarm(self) -> None:
        self._armed.clear()

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = "{}:{}".format(*self._runner.addresses[0])

    async def close(self) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        if request.path == "/healthz":
            fault = ""
        else:
            await self._odometer.add()
            fault = self._armed.popleft() if self._armed else ""
        if fault:
            self._struck(fault, f"{request.method} {request.path}")
        if fault and fault != "rest_lost":
            return _refusal(int(fault.removeprefix("rest_")))
        headers = {k: v for k, v in request.headers.items() if k.lower() not in OWN_HOP}
        url = f"http://{self._upstream()}{request.raw_path}"
        try:
            body = await request.read()
            async with self._session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                data = await answer.read()
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in OWN_HOP}
                status = answer.status
        except (TimeoutError, aiohttp.ClientError, OSError):
            return _hang_up(request)
        if fault == "rest_lost":
            return _hang_up(request)
        return web.Response(status=status, headers=kept, body=data)


def _refusal(code: int) -> web.Response:
    error = {"message": f"{REASONS[code]} by the test", "reason": REASONS[code], "domain": "global"}
    text = {"error": {"code": code, "message": error["message"], "errors": [error]}}
    return web.json_response(text, status=code)


def _hang_up(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer, as a server does that dies."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
