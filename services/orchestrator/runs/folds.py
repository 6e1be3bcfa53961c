"""State that follows from the journal: a fold over its records, which a checkpoint can stand in for."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from services.orchestrator.runs.records import Record


class Fold(Protocol):
    """One part of the state, of a name that is never changed: checkpoints have it."""

    def add(self, record: Record) -> object:
        """Apply a record; those that it is not about change nothing. They come in order."""

    def snapshot(self) -> Iterator[str]:
        """Yield the state as JSON texts, each small: a checkpoint packs them into its parts."""

    def restore(self, items: Iterable[str]) -> None:
        """Be what `snapshot` said, whatever was before."""
