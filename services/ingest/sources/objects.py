"""JSON objects as rows of a schema: one text a column, and the unknown fields in `extra`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from services.ingest import exact_json
from services.ingest.columns import TargetColumn
from services.ingest.sources.headers import spelled
from services.ingest.sources.source import EXTRA, keeps_extra

MOST_SHAPES: Final = 1000


class Objects:
    """Reads objects as rows; names of fields are matched as those of a header are."""

    def __init__(self, columns: Sequence[TargetColumn]) -> None:
        self._columns = columns
        self._names = [column.name for column in columns]
        self._extra = keeps_extra(columns)
        self._shapes: dict[tuple[str, ...], dict[str, str]] = {}

    def row(self, found: Mapping[str, Any]) -> list[str | None]:
        """Return the texts of an object in the schema's order; raise ValueError if ambiguous."""
        names = self._spelled(tuple(found))
        return [self._cell(column, found, names) for column in self._columns]

    def _spelled(self, keys: tuple[str, ...]) -> dict[str, str]:
        names = self._shapes.get(keys)
        if names is None:
            if len(self._shapes) >= MOST_SHAPES:
                self._shapes.clear()
            names = self._shapes[keys] = spelled(keys, self._names)
        return names

    def _cell(
        self, column: TargetColumn, found: Mapping[str, Any], names: Mapping[str, str]
    ) -> str | None:
        if self._extra and column.name == EXTRA:
            return _others(found, names)
        name = names.get(column.name)
        value = None if name is None else found[name]
        if column.type == "JSON" and value is not None:
            return exact_json.dumps(value)
        return exact_json.cell(value)

    def frame(self, rows: Iterable[Sequence[str | None]]) -> pl.DataFrame:
        """Return rows as String columns of the schema."""
        schema = dict.fromkeys(self._names, pl.String)
        return pl.DataFrame(list(rows), schema=schema, orient="row")


def _others(found: Mapping[str, Any], names: Mapping[str, str]) -> str | None:
    """Return what no other column takes; a field `extra` alone stays as it is."""
    own = names.get(EXTRA)
    used = {name for column, name in names.items() if column != EXTRA}
    left = {key: value for key, value in found.items() if key not in used}
    if not left:
        return None
    if set(left) == {own}:
        value = left[str(own)]
        return None if value is None else exact_json.dumps(value)
    return exact_json.dumps(left)
