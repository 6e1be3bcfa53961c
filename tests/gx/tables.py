"""Seeded tables of texts. Standard library only: both environments import it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

SEED = 20241
COLUMNS = {
    "n": "INT64",
    "m": "INT64",
    "step": "INT64",
    "money": "NUMERIC",
    "cost": "BIGNUMERIC",
    "ratio": "FLOAT64",
    "word": "STRING",
    "other": "STRING",
    "day": "DATE",
    "until": "DATE",
    "at": "DATETIME",
    "moment": "TIMESTAMP",
    "flag": "BOOL",
}
WORDS = (
    "a", "A", "Ab", "b", "b\n", "b\n\n", "", " ", "é", "e\u0301", "日本", "🙂", "x y", "12", "-3.5",
    "a1_²", "٣", "\x1c", "ab12", "AB", "USD", "usd", "a-b", "a&b", "[x]", "{2}", "line\nusd",
    "straße",
)  # fmt: skip
SHAPES = (
    # name, rows, share of nulls
    ("empty", 0, 0.0),
    ("one", 1, 0.0),
    ("one_null", 1, 1.0),
    ("three", 3, 0.3),
    ("six", 6, 0.0),
    ("seven", 7, 0.4),
    ("ten", 10, 0.2),
    ("nulls", 9, 1.0),
    ("twenty", 20, 0.15),
    ("whole", 30, 0.0),
    ("holes", 40, 0.5),
    ("many", 49, 0.1),
)

Cell = str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of texts, by BigQuery type of its columns; None is null."""

    name: str
    columns: dict[str, str]
    rows: list[list[Cell]]

    def column(self, name: str) -> list[Cell]:
        place = list(self.columns).index(name)
        return [row[place] for row in self.rows]

    def values(self, name: str) -> list[str]:
        """Return what is not null in a column."""
        return [cell for cell in self.column(name) if cell is not None]


class Dice(random.Random):
    """Chances from a seed; only `random` is used, whose values no version of Python changes."""

    def below(self, end: int) -> int:
        return int(self.random() * end)

    def one(self, items: Sequence[Any]) -> Any:
        return items[self.below(len(items))]

    def some(self, items: Sequence[Any], count: int) -> list[Any]:
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]

    def flip(self, share: float = 0.5) -> bool:
        return self.random() < share


def generated() -> list[Table]:
    """Return one table a shape; the same on every call."""
    return [_table(*shape) for shape in SHAPES]


def _table(name: str, count: int, nulls: float) -> Table:
    dice = Dice(f"{SEED} {name}")
    steps = dice.some(range(count), count)
    rows = [[_cell(dice, column, nulls, step) for column in COLUMNS] for step in steps]
    return Table(name=name, columns=dict(COLUMNS), rows=rows)


def _cell(dice: Dice, column: str, nulls: float, step: int) -> Cell:
    if column == "step":
        return str(step)
    if dice.flip(nulls):
        return None
    day = f"2024-02-{26 + dice.below(4):02d}"
    hour = f"{dice.below(3):02d}:30:0{dice.below(2)}"
    match COLUMNS[column]:
        case "INT64":
            return str(dice.below(12) - 3)
        case "NUMERIC" | "BIGNUMERIC" | "FLOAT64":
            return eighths(dice.below(64) - 16)
        case "STRING":
            return str(dice.one(WORDS))
        case "DATE":
            return day
        case "DATETIME":
            return f"{day}T{hour}"
        case "TIMESTAMP":
            return f"{day}T{hour}+00:00"
        case _:
            return "true" if dice.flip() else "false"


def eighths(count: int) -> str:
    """Return count / 8 as text: binary and decimal numbers hold it alike."""
    return str(count // 8) if count % 8 == 0 else repr(count / 8)
