"""Identity tokens for calls inside the mesh: the port."""

from typing import Protocol

from libs.common.names import PipelineName, RunName


class Tokens(Protocol):
    """Gives the metadata that a call to a neighbour carries."""

    async def metadata(self, name: PipelineName | RunName) -> tuple[tuple[str, str], ...]:
        """Return `authorization` metadata for work on a run or pipeline, from a cache while it is fresh."""
