"""Where an engine lives: a directory that is its own while it runs, and two ports."""

from __future__ import annotations

import contextlib
import fcntl
import socket
from collections.abc import Iterator
from pathlib import Path

from libs.local.engine.refusal import Refused


@contextlib.contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold the lock of `data_dir`, which is made if missing; raise Refused if another has it.

    The lock ends with the process, however that ends.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "engine.lock").open("a", encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"cannot write to the data directory {data_dir} ({error.strerror}): "
            "choose another --data-dir"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(
                f"another embedded BigQuery is using {data_dir}: stop it first, "
                "or choose another --data-dir"
            ) from error
        yield


def require_free(host: str, *ports: int) -> None:
    """Raise Refused unless all of `ports` can be listened on at `host` at once; 0 always can."""
    with contextlib.ExitStack() as probes:
        for port in ports:
            probe = probes.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen()
            except OSError as error:
                raise Refused(
                    f"port {port} on {host} cannot be used ({error.strerror}): stop what listens "
                    "there, or choose another --rest-port or --grpc-port (0 takes a free one)"
                ) from error
