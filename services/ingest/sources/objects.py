"""JSON objects as rows of a schema: one text a column, and the unknown fields in `extra`."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from services.ingest import exact_json
from services.ingest.columns import TargetColumn
from services.ingest.sources.headers import spelled
from services.ingest.sources.source import EXTRA, keeps_extra

MOST_SHAPES: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the fields of objects go that have the same names.

    names: Field by column, `extra` left out where it takes what others do not.
    extra: Fields that the JSON column `extra` takes, its own included.
    own: The field that is called `extra`, if there is one: alone it stays as it is.
    """

    names: Mapping[str, str]
    extra: tuple[str, ...]
    own: str | None


class Objects:
    """Reads objects as rows; names of fields are matched as those of a header are."""

    def __init__(self, columns: Sequence[TargetColumn]) -> None:
        self.columns = columns
        self._names = [column.name for column in columns]
        self._extra = keeps_extra(columns)
        self._layouts: dict[tuple[str, ...], Layout] = {}

    def layout(self, fields: tuple[str, ...]) -> Layout:
        """Return where fields go; raise ValueError if a column has several spellings."""
        layout = self._layouts.get(fields)
        if layout is None:
            if len(self._layouts) >= MOST_SHAPES:
                self._layouts.clear()
            layout = self._layouts[fields] = self._laid_out(fields)
        return layout

    def _laid_out(self, fields: tuple[str, ...]) -> Layout:
        names = spelled(fields, self._names)
        own = names.pop(EXTRA, None) if self._extra else None
        used = set(names.values())
        others = tuple(field for field in fields if field not in used)
        return Layout(names=names, extra=others if self._extra else (), own=own)

    def takes_extra(self, column: TargetColumn) -> bool:
        """Return whether a column is the one for fields that the schema lacks."""
        return self._extra and column.name == EXTRA

    def row(self, found: Mapping[str, Any]) -> list[str | None]:
        """Return the texts of an object in the schema's order; raise ValueError if ambiguous."""
        layout = self.layout(tuple(found))
        return [self._cell(column, found, layout) for column in self.columns]

    def _cell(self, column: TargetColumn, found: Mapping[str, Any], layout: Layout) -> str | None:
        if self.takes_extra(column):
            return _others(found, layout)
        name = layout.names.get(column.name)
        value = None if name is None else found[name]
        if column.type == "JSON" and value is not None:
            return exact_json.dumps(value)
        return exact_json.cell(value)

    def frame(self, rows: Iterable[Sequence[str | None]]) -> pl.DataFrame:
        """Return rows as String columns of the schema."""
        schema = dict.fromkeys(self._names, pl.String)
        return pl.DataFrame(list(rows), schema=schema, orient="row")


def _others(found: Mapping[str, Any], layout: Layout) -> str | None:
    """Return what no other column takes; a field `extra` alone stays as it is."""
    if not layout.extra:
        return None
    if layout.own is not None and layout.extra == (layout.own,):
        value = found[layout.own]
        return None if value is None else exact_json.dumps(value)
    return exact_json.dumps({field: found[field] for field in layout.extra})
