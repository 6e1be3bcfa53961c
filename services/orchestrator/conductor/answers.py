"""What an answer to a caller rests on: it is durable, and one request id stands for one thing."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from libs.common.errors import AlreadyExists
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import JournalUnavailable

PATIENCE_SECONDS: Final = 8.0
"""How long a call waits for the journal: less than clients wait for an answer."""

NOT_DURABLE: Final = (
    "BigQuery does not answer, so nothing is known to be durable yet; repeat the call"
)


class RequestIdReused(AlreadyExists):
    """The request id stands for another run."""

    reason = "REQUEST_ID_REUSED"


def same_request(
    request_id: UUID, before: Mapping[str, str], now: Mapping[str, str], **made: str
) -> None:
    """Raise RequestIdReused where a request says something else than the one before it of its id.

    Args:
        request_id: The id.
        before: What the first one said, by field.
        now: What this one says.
        made: What was made of the first one: `run` or `backfill`, and its name.
    """
    differs = [key for key in now if before.get(key) != now[key]]
    if not differs:
        return
    text = ", ".join(f"{k} was {before.get(k)!r}, is {now[k]!r}" for k in differs)
    raise RequestIdReused(
        f"request id {request_id} was used for {', '.join(made.values())} with other content: {text}; "
        "choose a new UUID",
        requestId=str(request_id),
        differs=",".join(differs),
        **made,
    )


async def durable(history: History, position: int, *, seconds: float) -> None:
    """Return when all records up to `position` are durable. Raises JournalUnavailable after so long."""
    try:
        async with asyncio.timeout(seconds):
            await history.settled(position)
    except TimeoutError:
        raise JournalUnavailable(NOT_DURABLE) from None


def digest_of(facts: Mapping[str, str]) -> str:
    """Return a hash of what a request said."""
    return hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
