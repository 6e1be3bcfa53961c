"""Stops a change of a table between its halves, in an engine that was started with `pauses`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.eventually import eventually

REACH_SECONDS = 20
PARSED = "parsed.texts"
"""A file in `pauses` that gets a line of JSON, [parser, text], whenever a text is parsed."""
LOOKED = "garbage.looks"
"""A file in `pauses` that gets a line whenever all that lives is looked at for garbage."""
LATER = "later.clock"
"""A file in `pauses` with the seconds by which PENDING streams are older than they are."""


class Pause:
    """A point that the next changes of one table stop at."""

    def __init__(self, pauses: Path, table: str) -> None:
        self._asked = pauses / table
        self._reached = self._asked.with_suffix(".reached")
        self._reached.unlink(missing_ok=True)
        self._asked.touch()

    def reached(self) -> None:
        """Wait until a change stands there."""
        eventually(self._reached.exists, within=REACH_SECONDS)

    def end(self) -> None:
        """Let it go on; changes of the table no longer stop. Safe to repeat."""
        self._asked.unlink(missing_ok=True)


@contextlib.contextmanager
def paused(pauses: Path, table: str) -> Iterator[Pause]:
    """Stop changes of `table` inside the block."""
    pause = Pause(pauses, table)
    try:
        yield pause
    finally:
        pause.end()
