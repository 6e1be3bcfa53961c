"""What records take over from the objects around them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from services.ingest import exact_json


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Fields of the objects around records.

    values: Fields that a record takes over where it has none of that name, null where no object around
        it has them; as `exact_json.loads` reads them.
    of: (n,) which of the values a record has.
    """

    values: Sequence[Mapping[str, Any]]
    of: pl.Series

    def merged(self, index: int, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record with what it takes over."""
        missing = {k: v for k, v in self.values[self.of[index]].items() if k not in record}
        return {**record, **missing}

    def series(self, field: str, indexes: pl.Series, *, as_json: bool) -> pl.Series:
        """Return a field for some records, as cells or as JSON."""
        values = [found[field] for found in self.values]
        texts = [_json(value) if as_json else exact_json.cell(value) for value in values]
        return pl.Series(texts, dtype=pl.String).gather(self.of.gather(indexes))


def _json(value: Any) -> str | None:
    return None if value is None else exact_json.dumps(value)
