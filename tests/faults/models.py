"""What a table must hold: deliveries folded in the order in which they were published."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from tests.faults.sources import KEYS

Row: TypeAlias = tuple[int, int, int]
"""id, key, version."""

State: TypeAlias = Mapping[str, tuple[Row, ...]]
"""Rows of a table by the file that they came from."""


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """What a reader asks of the rows of one file: together these numbers say which rows there are."""

    count: int
    distinct: int
    lowest: int
    highest: int
    total: int

    @classmethod
    def of(cls, ids: Iterable[int]) -> "Group":
        found = list(ids)
        return cls(len(found), len(set(found)), min(found), max(found), sum(found))


def rows(file: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return the good rows of a delivery, in order."""
    first, key, version = file["first"], file["key"], file["version"]
    return tuple((first + i, (key + i) % KEYS, version) for i in range(file["good"]))


def published(mode: str, before: State, files: Mapping[str, Mapping[str, Any]]) -> State:
    """Return the table after a run has published `files`, what they hold by name."""
    if mode in {"append", "staged"}:
        new = {name: rows(file) for name, file in files.items() if name not in before}
        return {**before, **new}
    if mode == "replace":
        return {**before, **{name: rows(file) for name, file in files.items()}}
    return _merged(before, files)


def _merged(before: State, files: Mapping[str, Mapping[str, Any]]) -> State:
    """The highest version of a key wins."""
    best = {row[1]: (row, name) for name, found in before.items() for row in found}
    for name, file in files.items():
        for row in rows(file):
            if row[1] not in best or best[row[1]][0][2] < row[2]:
                best[row[1]] = (row, name)
    after: dict[str, list[Row]] = {}
    for row, name in best.values():
        after.setdefault(name, []).append(row)
    return {name: tuple(found) for name, found in after.items()}


def seen(state: State) -> dict[str, Group]:
    """Return what a reader of the table sees."""
    return {name: Group.of(row[0] for row in found) for name, found in state.items() if found}
