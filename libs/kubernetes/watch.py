"""Changes of objects as the API server tells them, read by a thread."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Final

from kubernetes.client.exceptions import ApiException

from libs.kubernetes.cluster import FAILURES, Call, Cluster

GRACE_SECONDS: Final = 5.0
"""How much longer than asked for a watch may last before it counts as cut."""


async def changes(
    cluster: Cluster, call: Call, method: Callable[..., Any], **named: Any
) -> AsyncGenerator[tuple[str, Any]]:
    """Yield pairs (ADDED, MODIFIED, DELETED or BOOKMARK; the object as its JSON) for `call.seconds`.

    Args:
        cluster: Whom to ask.
        call: What is asked. It ends when its time is over; that is no failure.
        method: A method of the client that lists.
        named: Its arguments, with the `resource_version` that changes are told from.

    Raises:
        ClusterRefused: `status` is 410 where that version is too old: list again.
        ClusterUnavailable: it was cut, or cannot be watched now.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[tuple[str, Any] | Exception | None] = asyncio.Queue()
    reading = _Reading()

    def tell(what: tuple[str, Any] | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(told.put_nowait, what)

    def read() -> None:
        try:
            for event in reading.events(method, call.seconds, named):
                tell(event)
        except FAILURES as error:
            tell(cluster.failure(call, error))
        else:
            tell(None)

    threading.Thread(target=read, name="kubernetes.watch", daemon=True).start()
    try:
        while (event := await told.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event
    finally:
        reading.stop()


class _Reading:
    """One watch, which another thread may end."""

    def __init__(self) -> None:
        self._response: Any = None
        self._stopped = False

    def events(
        self, method: Callable[..., Any], seconds: float, named: dict[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        self._response = method(
            **named,
            watch=True,
            timeout_seconds=int(seconds),
            _preload_content=False,
            _request_timeout=(GRACE_SECONDS, seconds + GRACE_SECONDS),
        )
        with contextlib.closing(self._response) as response:
            if self._stopped:
                return
            for line in _lines(response.stream(amt=None)):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _error(event["object"])
                yield event["type"], event["object"]

    def stop(self) -> None:
        """End the watch; whoever reads it is told at once."""
        self._stopped = True
        connection = getattr(self._response, "connection", None)
        if (used := getattr(connection, "sock", None)) is not None:
            with contextlib.suppress(OSError):
                used.shutdown(socket.SHUT_RDWR)


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole lines; what is left of one that was cut is nothing."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)


def _error(status: dict[str, Any]) -> ApiException:
    error = ApiException(status=int(status.get("code", 500)), reason=status.get("reason"))
    error.body = json.dumps(status)
    return error
