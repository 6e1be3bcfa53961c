"""Who leads, and since which epoch: the port, and what one leader hands to the next."""

import dataclasses
import json
from datetime import datetime
from typing import Protocol, Self

from libs.common.errors import FailedPrecondition, Unavailable


class LeaseTaken(Unavailable):
    """Another leads by now: the process ends."""

    reason = "NOT_ACTIVE"


class LeaseLost(Unavailable):
    """The lease could not be renewed in time: another may lead by now, and the process ends."""

    reason = "NOT_ACTIVE"


class LeaseUnusable(FailedPrecondition):
    """There is no lease, or it cannot be read: nobody is elected until somebody mends it."""

    reason = "LEASE_UNUSABLE"

    def __init__(self, lease: str, found: str, advice: str) -> None:
        super().__init__(f"lease {lease} {found}: {advice}", lease=lease)


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What a lease keeps of its terms: the newest epoch, and the stream that was announced last.

    A lease without anything is the first term's: epoch 0.
    """

    epoch: int = 0
    stream: str = ""
    stream_epoch: int = 0
    announced: datetime | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `text` wrote; an empty one is a lease that nobody had.

        Raises:
            ValueError: it is something else.
        """
        try:
            known = json.loads(text.strip() or "{}")
            epoch, said = int(known.get("epoch", 0)), known.get("announced")
            return cls(
                epoch=epoch,
                stream=str(known.get("stream", "")),
                stream_epoch=int(known.get("stream_epoch", epoch)),
                announced=datetime.fromisoformat(said) if said else None,
            )
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error

    def text(self) -> str:
        """Return it as JSON."""
        record: dict[str, object] = {
            "epoch": self.epoch,
            "stream": self.stream,
            "stream_epoch": self.stream_epoch,
        }
        return json.dumps(
            record | ({"announced": self.announced.isoformat()} if self.announced else {})
        )

    def next(self) -> Self:
        """Return what stands in the lease from the next win on."""
        return dataclasses.replace(self, epoch=self.epoch + 1)

    def announcing(self, stream: str, epoch: int, at: datetime) -> Self:
        """Return it with the stream of the present term, whose epoch is `epoch` unless that is 0."""
        epoch = epoch or self.epoch
        return dataclasses.replace(
            self, epoch=epoch, stream=stream, stream_epoch=epoch, announced=at
        )

    def term(self) -> Term:
        """Return the term whose win is noted here."""
        return Term(
            epoch=self.epoch,
            predecessor=self.stream,
            predecessor_epoch=self.stream_epoch,
            announced=self.announced,
        )


class Election(Protocol):
    """One candidate. A term that began ends with the process; before that, `close` steps down."""

    async def win(self) -> Term:
        """Wait until this candidate is elected.

        Raises:
            FailedPrecondition: nobody can be elected until somebody changes what is named.
            Unavailable: the lease cannot be looked at now. In both cases: stand again.
        """

    async def announce(self, stream: str, epoch: int = 0) -> None:
        """Say where this term's journal stream is, for the successor that must seal it.

        The lease changes only if it is still that of the term that was won.

        Args:
            stream: Its name.
            epoch: The term's epoch, where the journal knows higher ones than the election did; 0
                where it is the one that was won.

        Raises:
            LeaseTaken: another leads by now and will not learn of the stream: write nothing to it.
            LeaseLost: whether that is so cannot be known in time.
        """

    async def lost(self) -> None:
        """Wait until the term that was won is lost. For ever where nothing but its end ends it.

        Raises:
            LeaseTaken: another leads.
            LeaseLost: another may lead.
        """

    async def close(self) -> None:
        """Stop being a candidate or leader; `win` stands again. May be repeated."""
