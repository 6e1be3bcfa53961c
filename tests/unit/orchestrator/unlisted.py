"""Runs that nobody should look through: where there are very many, whoever does holds up everybody."""

from collections.abc import Iterator
from typing import Any

from libs.common.names import RunName
from services.orchestrator.runs.run import Run


class Unlisted(dict[RunName, Run]):
    """Runs that count in `looks` how often all of them are looked at; by name they are found uncounted."""

    looks = 0

    def __iter__(self) -> Iterator[RunName]:
        self.looks += 1
        return super().__iter__()

    def keys(self) -> Any:
        self.looks += 1
        return super().keys()

    def values(self) -> Any:
        self.looks += 1
        return super().values()

    def items(self) -> Any:
        self.looks += 1
        return super().items()
