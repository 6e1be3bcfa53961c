"""What the engine is started with."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`data_dir` None keeps everything in memory; port 0 takes any free port at `host`.

    `without`: names of fixes to leave out, for the tests that show what each is for.
    """

    data_dir: Path | None
    project: str
    rest_port: int
    grpc_port: int
    host: str = "127.0.0.1"
    without: tuple[str, ...] = ()
