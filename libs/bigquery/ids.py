"""Full names of datasets and tables; their text is safe inside backticks."""

import dataclasses
import re
from typing import Final, Self

_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,1024}")
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9.:-]{0,61}")


def _check(field: str, value: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(f"{field}: {value!r} does not match {pattern.pattern}")


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class DatasetId:
    """A dataset's full name; its text is safe inside backticks."""

    project: str
    dataset: str

    def __post_init__(self) -> None:
        """Raise ValueError for a name that could end a quoted identifier."""
        _check("project", self.project, _PROJECT)
        _check("dataset", self.dataset, _NAME)

    def table(self, name: str) -> "TableId":
        """Return the dataset's table of that name."""
        return TableId(self.project, self.dataset, name)

    @property
    def sql(self) -> str:
        """Return the name as a quoted identifier."""
        return f"`{self}`"

    def __str__(self) -> str:
        """Return `project.dataset`."""
        return f"{self.project}.{self.dataset}"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class TableId:
    """A table's full name; its text is safe inside backticks."""

    project: str
    dataset: str
    table: str

    def __post_init__(self) -> None:
        """Raise ValueError for a name that could end a quoted identifier."""
        _check("project", self.project, _PROJECT)
        _check("dataset", self.dataset, _NAME)
        _check("table", self.table, _NAME)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `project.dataset.table`; raise ValueError for anything else."""
        parts = text.rsplit(".", 2)
        if len(parts) != len(dataclasses.fields(cls)):
            raise ValueError(f"{text!r} is not project.dataset.table")
        return cls(*parts)

    @property
    def sql(self) -> str:
        """Return the name as a quoted identifier."""
        return f"`{self}`"

    @property
    def path(self) -> str:
        """Return the name as the Storage Write API has it."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}"

    @property
    def parent(self) -> DatasetId:
        """Return the dataset that holds the table."""
        return DatasetId(self.project, self.dataset)

    def __str__(self) -> str:
        """Return `project.dataset.table`."""
        return f"{self.project}.{self.dataset}.{self.table}"
