"""Histories: what was asked, injected and seen, as files of JSON lines that stay when all processes are gone."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

FILE: Final = "history.jsonl"

Entry = dict[str, Any]
"""`t` (seconds, of one clock that never goes back) and `kind`, then what the kind has: see README.md."""


class History:
    """Appends entries to a folder's history; each is on disk when `write` returns, but for the kernel."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = (folder / FILE).open("w", buffering=1)

    @staticmethod
    def now() -> float:
        """Return the moment that an entry written now would have."""
        return round(time.monotonic(), 4)

    def write(self, kind: str, **facts: Any) -> Entry:
        """Add an entry."""
        entry = {"t": self.now(), "kind": kind, **facts}
        self._file.write(json.dumps(entry, default=str) + "\n")
        return entry

    def close(self) -> None:
        self._file.close()


def read(folder: Path) -> Iterator[Entry]:
    """Yield a history's entries as they were written; a last line that was cut off is left out."""
    with (folder / FILE).open() as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
