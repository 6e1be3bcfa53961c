"""Who leads, and since which epoch: the port."""

import dataclasses
from datetime import datetime
from typing import Protocol

from libs.common.errors import Unavailable


class LeaseTaken(Unavailable):
    """The lease went to another before this term announced its stream: the process ends."""

    reason = "NOT_ACTIVE"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A leadership: its epoch, and the journal stream of the one before."""

    epoch: int
    predecessor: str = ""
    """Stream to seal before the journal is read; empty if there was none."""
    predecessor_epoch: int = 0
    """Epoch that wrote to that stream. Terms in between ended before they opened one."""
    announced: datetime | None = dataclasses.field(default=None, compare=False)
    """When the stream was announced, by the clock of who did; None where nobody said."""


class Election(Protocol):
    """One candidate. A term that began ends with the process; before that, `close` steps down."""

    async def win(self) -> Term:
        """Wait until this candidate is elected."""

    async def announce(self, stream: str, epoch: int = 0) -> None:
        """Say where this term's journal stream is, for the successor that must seal it.

        Args:
            stream: Its name.
            epoch: The term's epoch, where the journal knows higher ones than the election did; 0
                where it is the one that was won.

        Raises:
            LeaseTaken: another leads by now and will not learn of the stream: write nothing to it.
        """

    async def close(self) -> None:
        """Stop being a candidate or leader; `win` stands again. May be repeated."""
