"""Runs `convergence …` against an edge in this process."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from tests.support.fake_edge import serving

KEY = "cvg_acme_corp_secretsecret"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command left: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The refusal that `--output json` prints."""
        return json.loads(self.err)["error"]


Command = Callable[..., Said]


async def against(command: Command, *arguments: str, **fakes: Any) -> Said:
    """Serve the fakes and run a command that calls them."""
    async with serving(**fakes) as address:
        return await asyncio.to_thread(command, *arguments, address=address)
