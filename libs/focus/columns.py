"""Columns of a FOCUS cost table: FOCUS 1.4, what 1.2 alone has, and the platform's `x_` columns."""

import functools
import json
from importlib import resources
from typing import Final, NamedTuple

TABLE: Final = "focus_costs"
SCHEMA: Final = "focus_1_4"
PARTITION_BY: Final = "ChargePeriodStart"


class FocusColumn(NamedTuple):
    """A column by BigQuery's names of its type and mode."""

    name: str
    type: str
    mode: str
    description: str

    @property
    def custom(self) -> bool:
        """Whether FOCUS leaves the column to whoever provides the data."""
        return self.name.startswith("x_")


@functools.cache
def focus_columns() -> tuple[FocusColumn, ...]:
    """Return the columns in the table's order: FOCUS by name, then `x_` by name."""
    text = resources.files(__package__).joinpath(f"{SCHEMA}.json").read_text("utf-8")
    return tuple(FocusColumn(**column) for column in json.loads(text))
