"""The election on one machine: an exclusive lock on a file that holds epoch and stream."""

import asyncio
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from services.orchestrator.elections.elections import Handover, LeaseTaken, LeaseUnusable, Term

POLL_SECONDS: Final = 0.2

RECORD_BYTES: Final = 4096
"""The record is padded to one page, so that a write replaces it whole."""


class FileElection:
    """A candidate that leads while it holds the lock; the kernel frees it when the process ends.

    Whoever replaces the file by a copy while its holder is stopped hands the lease on: the holder finds
    another file in its place when it announces. Later it is the journal that tells it: the kernel
    keeps the lock as long as its process lives.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "orchestrator.lease"
        self._file: int | None = None
        self._handover = Handover()

    async def win(self) -> Term:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while not self._taken():  # noqa: ASYNC110 the kernel tells nobody
            await asyncio.sleep(POLL_SECONDS)
        assert self._file is not None
        try:
            known = Handover.read(os.pread(self._file, RECORD_BYTES, 0).decode())
        except ValueError as error:
            await self.close()
            todo = "write {} into it while no orchestrator runs: the journal tells the rest"
            raise LeaseUnusable(str(self._path), f"cannot be read ({error})", todo) from error
        self._handover = known.next()
        self._write()
        return self._handover.term()

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
        self._handover = self._handover.announcing(stream, epoch, datetime.now(UTC))
        self._write()
        if not self._current():
            raise LeaseTaken(
                "the lease was handed on before this orchestrator said where its journal is: it ends"
            )

    def _write(self) -> None:
        assert self._file is not None, "win comes first"
        os.pwrite(self._file, self._handover.text().encode().ljust(RECORD_BYTES), 0)
        os.fsync(self._file)

    async def lost(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
