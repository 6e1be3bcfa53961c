"""Runs that nobody may look through: where there are very many, whoever does holds up everybody."""

from collections.abc import Iterator

from libs.common.names import RunName
from services.orchestrator.runs.run import Run


class Unlisted(dict[RunName, Run]):
    """Runs that are found by name alone."""

    def __iter__(self) -> Iterator[RunName]:
        raise AssertionError("all runs are looked at")

    values = items = keys = __iter__  # type: ignore[assignment]
