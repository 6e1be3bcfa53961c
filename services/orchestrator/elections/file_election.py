"""The election on one machine: an exclusive lock on a file that holds epoch and stream."""

import asyncio
import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from services.orchestrator.elections.elections import LeaseTaken, Term

POLL_SECONDS: Final = 0.2

RECORD_BYTES: Final = 4096
"""The record is padded to one page, so that a write replaces it whole."""


class FileElection:
    """A candidate that leads while it holds the lock; the kernel frees it when the process ends.

    Whoever replaces the file by a copy while its holder is stopped hands the lease on: the holder finds
    another file in its place.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "orchestrator.lease"
        self._file: int | None = None
        self._epoch = 0

    async def win(self) -> Term:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while not self._taken():  # noqa: ASYNC110 the kernel tells nobody
            await asyncio.sleep(POLL_SECONDS)
        assert self._file is not None
        known = json.loads(os.pread(self._file, RECORD_BYTES, 0).strip() or b"{}")
        last = int(known.get("epoch", 0))
        self._epoch = last + 1
        stream, stream_epoch = str(known.get("stream", "")), int(known.get("stream_epoch", last))
        said = known.get("announced")
        self._write(stream, stream_epoch, said)
        return Term(
            epoch=self._epoch,
            predecessor=stream,
            predecessor_epoch=stream_epoch,
            announced=datetime.fromisoformat(said) if said else None,
        )

    def _taken(self) -> bool:
        """Whether the file that is there now, and no former one, is locked by this candidate."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not self._current():
            os.close(self._file)
            self._file = None
            return False
        return self._lock(self._file) and self._current()

    def _current(self) -> bool:
        assert self._file is not None
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._file))

    @staticmethod
    def _lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def announce(self, stream: str, epoch: int = 0) -> None:
        self._epoch = epoch or self._epoch
        self._write(stream, self._epoch, datetime.now(UTC).isoformat())
        if not self._current():
            raise LeaseTaken(
                "the lease was handed on before this orchestrator said where its journal is: it ends"
            )

    def _write(self, stream: str, stream_epoch: int, announced: str | None) -> None:
        assert self._file is not None, "win comes first"
        record: dict[str, object] = {
            "epoch": self._epoch,
            "stream": stream,
            "stream_epoch": stream_epoch,
        }
        record |= {"announced": announced} if announced else {}
        text = json.dumps(record).encode()
        os.pwrite(self._file, text.ljust(RECORD_BYTES), 0)
        os.fsync(self._file)

    async def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
