"""Where workers are: the port, and a list that never changes."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A worker process: where it is, and which one, where another may come to be at one address."""

    address: str
    """`host:port`."""
    uid: str = ""


Found = Mapping[Place, bool]
"""Workers that are there, and whether each takes new work."""


class Discovery(Protocol):
    """Finds workers."""

    def follow(self) -> AsyncGenerator[Found]:
        """Yield the workers as soon as they are known, and again whenever they are others; for ever.

        While it cannot be seen who is there nothing is yielded: those found last are still the workers.
        """


class FixedDiscovery:
    """Workers that were named once."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._found = dict.fromkeys(map(Place, addresses), True)

    async def follow(self) -> AsyncGenerator[Found]:
        yield self._found
        await asyncio.get_running_loop().create_future()
