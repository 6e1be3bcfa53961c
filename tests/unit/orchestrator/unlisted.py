"""Runs that nobody should look through: where there are very many, whoever does holds up everybody."""

from collections.abc import ItemsView, Iterator, KeysView, ValuesView

from libs.common.names import RunName
from services.orchestrator.runs.run import Run


class Unlisted(dict[RunName, Run]):
    """Runs that count in `looks` how often all of them are looked at; by name they are found uncounted."""

    looks = 0

    def __iter__(self) -> Iterator[RunName]:
        self.looks += 1
        return super().__iter__()

    def keys(self) -> KeysView[RunName]:
        self.looks += 1
        return super().keys()  # type: ignore[return-value]

    def values(self) -> ValuesView[Run]:
        self.looks += 1
        return super().values()  # type: ignore[return-value]

    def items(self) -> ItemsView[RunName, Run]:
        self.looks += 1
        return super().items()  # type: ignore[return-value]
