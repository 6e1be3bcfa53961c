"""Records that are written alike, taken apart by where their commas, quotes and backslashes are.

Records of one shape that one program wrote differ in nothing but their values. Where the names stand
at the places that separators lead to, all that is left to prove is that what lies between is a value:
that no text holds a quote or an escape that JSON has not, that a number is one, and that nested values
are JSON. What is not proven here is left to the shape's pattern.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Final, Self

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

from services.ingest import exact_json
from services.ingest.sources.json_patterns import INSIDE, PLAIN
from services.ingest.sources.lines import Positions, slices
from services.ingest.sources.marked_records import Flags, MarkedRecords
from services.ingest.sources.shapes import Field

MOST_CELLS: Final = 1 << 18
"""Cells that are taken apart at once: bounds what their positions take."""

MOST_WITHIN: Final = 64
"""Separators that a nested value may have if the name behind it is to be found."""

_QUOTE, _OBJECT, _LIST, _END, _N = (ord(byte) for byte in '"{[}n')
_STRING: Final = pa.large_string()


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """Records that were taken apart: their indexes, ascending, and `values` by field in use."""

    records: Positions
    values: Mapping[str, pl.Series]


class Template:
    """The fields of a shape, and the blanks that its records have behind commas and colons.

    Args:
        fields: At least one.
        example: A record of that shape.
    """

    def __init__(self, fields: Sequence[Field], example: str) -> None:
        names = [json.dumps(field.name, ensure_ascii=False) for field in fields]
        colon = ": " if f"{names[0]}: " in example else ":"
        comma = ", " if len(names) > 1 and f", {names[1]}:" in example else ","
        self._fields = fields
        self._blanks = len(comma) - 1
        self._literals = [f"{{{names[0]}{colon}".encode()]
        self._literals += [f"{comma}{name}{colon}".encode() for name in names[1:]]
        self._quotes = sum(literal.count(b'"') for literal in self._literals)

    @property
    def most_records(self) -> int:
        """How many records are read at once, at most."""
        return max(1, MOST_CELLS // len(self._fields))

    def read(self, marked: MarkedRecords, records: Positions) -> Taken:
        """Read those of some records, by ascending index, that are written so; all are UTF-8."""
        cells = self._cells(marked, records)
        cells = cells.where(_without_control(marked, cells))
        escaped = _Escaped.of(marked, cells)
        quotes = escaped.quotes_of(len(cells.records)) + self._quotes
        fits = escaped.proven(len(cells.records)) & (_quotes_beside(marked, cells) == quotes)
        if not fits.all():
            cells, escaped = cells.where(fits), escaped.where(fits)
        values, fits = self._values(marked, cells, escaped)
        if fits.all():
            return Taken(cells.records, values)
        kept = pl.Series(fits)
        return Taken(cells.records[fits], {name: s.filter(kept) for name, s in values.items()})

    def _cells(self, marked: MarkedRecords, records: Positions) -> "_Cells":
        """Return where the values of those records lie that have the names in their places."""
        at = marked.starts[records]
        records = records[marked.stands(at, self._literals[0])]
        at = marked.starts[records]
        separators = marked.separators(self._blanks)
        number = np.searchsorted(separators[:-1], at)
        begins = [at + len(self._literals[0])]
        ends: list[Positions] = []
        for literal in self._literals[1:]:
            found = marked.stands(separators[number], literal)
            if not found.all():
                within = (begins[-1], marked.lasts[records])
                _behind_nested(marked, literal, separators, number, within, found)
                records, number = records[found], number[found]
                begins, ends = [one[found] for one in begins], [one[found] for one in ends]
            ends.append(separators[number])
            begins.append(ends[-1] + len(literal))
            number += 1
        last = marked.lasts[records]
        ends.append(last)
        first, end = np.column_stack(begins), np.column_stack(ends)
        whole = (first < end).all(axis=1) & (marked.data[last] == _END)
        if not whole.all():
            records, first, end = records[whole], first[whole], end[whole]
        return _Cells.of(marked, records, first, end)

    def _values(
        self, marked: MarkedRecords, cells: "_Cells", escaped: "_Escaped"
    ) -> tuple[dict[str, pl.Series], Flags]:
        """Return the values of fields in use, and which records have nothing but JSON."""
        width = len(self._fields)
        bare = cells.quoted & np.array([field.use == "cell" for field in self._fields])
        texts = slices(
            marked.block, (cells.begins + bare).ravel(), (cells.ends - bare).ravel(), _STRING
        )
        each = [pl.nth(0).gather_every(width, i).alias(str(i)) for i in range(width)]
        columns = texts.to_frame().select(each).get_columns()
        fits = _plain(cells, columns)
        values = {}
        for i, field in enumerate(self._fields):
            found = columns[i]
            null, nested = cells.null[:, i], cells.nested[:, i]
            if nested.any():
                found = _compact(found, nested, field)
                fits &= ~nested | found.is_not_null().to_numpy()
            if null.any():
                found = found.set(pl.Series(null), None)
            if field.use != "none":
                values[field.name] = escaped.written(found, i, as_json=field.use == "json")
        return values, fits


@dataclasses.dataclass(frozen=True, slots=True)
class _Cells:
    """Where the values of m records lie, (m, f) each, and what their ends show them to be.

    `quoted` is between two quotes, `null` is null, `nested` begins with a bracket.
    """

    records: Positions
    begins: Positions
    ends: Positions
    quoted: Flags
    null: Flags
    nested: Flags

    @classmethod
    def of(
        cls, marked: MarkedRecords, records: Positions, begins: Positions, ends: Positions
    ) -> Self:
        first, size = marked.data[begins], ends - begins
        quoted = (first == _QUOTE) & (marked.data[ends - 1] == _QUOTE) & (size > 1)
        null = (first == _N) & (size == len("null"))
        null[null] = marked.stands(begins[null], b"null")
        return cls(records, begins, ends, quoted, null, (first == _OBJECT) | (first == _LIST))

    def where(self, kept: Flags) -> "_Cells":
        if kept.all():
            return self
        return _Cells(*(getattr(self, field.name)[kept] for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, slots=True)
class _Escaped:
    """Texts with a backslash: the row and column of each, and what stands between its quotes."""

    rows: Positions
    columns: Positions
    texts: pl.Series

    @classmethod
    def of(cls, marked: MarkedRecords, cells: _Cells) -> Self:
        count, width = cells.begins.shape
        bounds = np.empty((count, 2 * width), np.int64)
        bounds[:, ::2], bounds[:, 1::2] = cells.begins, cells.ends
        places = np.searchsorted(bounds.ravel(), marked.backslashes, side="right") - 1
        within = np.unique(places[(places >= 0) & (places % 2 == 0)] // 2)
        within = within[cells.quoted.ravel()[within]]
        begins, ends = cells.begins.ravel()[within] + 1, cells.ends.ravel()[within] - 1
        return cls(within // width, within % width, slices(marked.block, begins, ends, _STRING))

    def quotes_of(self, count: int) -> Positions:
        """Return (count,) how many quotes the texts of each row have."""
        found = self.texts.str.count_matches('"', literal=True).to_numpy()
        return np.bincount(self.rows, found, count).astype(np.int64)

    def proven(self, count: int) -> Flags:
        """Return (count,) whether all texts of a row have but the escapes of JSON."""
        found = np.ones(count, np.bool_)
        found[self.rows[~self.texts.str.contains(f"^{INSIDE}$").to_numpy()]] = False
        return found

    def where(self, kept: Flags) -> "_Escaped":
        """Return those of some rows, as rows of those alone."""
        left = kept[self.rows]
        rows = (np.cumsum(kept) - 1)[self.rows[left]]
        return _Escaped(rows, self.columns[left], self.texts.filter(pl.Series(left)))

    def written(self, found: pl.Series, column: int, *, as_json: bool) -> pl.Series:
        """Return the cells of a column with these as the texts that they mean, or as their JSON."""
        which = self.columns == column
        if not which.any():
            return found
        listed = '","'.join(self.texts.filter(pl.Series(which)).to_list())
        texts = orjson.loads(f'["{listed}"]')
        if as_json:
            texts = [exact_json.dumps(text) for text in texts]
        return found.scatter(self.rows[which], texts)


def _behind_nested(
    marked: MarkedRecords,
    literal: bytes,
    separators: Positions,
    number: Positions,
    within: tuple[Positions, Positions],
    found: Flags,
) -> None:
    """Find a name behind values that begin with a bracket: move `number` on to the separator before it."""
    begins, lasts = within
    first = marked.data[np.minimum(begins, len(marked.data) - 1)]
    left = np.flatnonzero(~found & ((first == _OBJECT) | (first == _LIST)))
    for _ in range(MOST_WITHIN):
        number[left] = np.minimum(number[left] + 1, len(separators) - 1)
        left = left[separators[number[left]] < lasts[left]]
        if not len(left):
            break
        here = marked.stands(separators[number[left]], literal)
        found[left[here]] = True
        left = left[~here]


def _without_control(marked: MarkedRecords, cells: _Cells) -> Flags:
    first, last = marked.starts[cells.records], marked.lasts[cells.records]
    free: Flags = marked.controls.at(first) == marked.controls.at(last)
    return free


def _quotes_beside(marked: MarkedRecords, cells: _Cells) -> Positions:
    """Return how many quotes each record has that stand in no nested value and bound no text."""
    first, last = marked.starts[cells.records], marked.lasts[cells.records]
    quotes = marked.quotes
    found: Positions = quotes.at(last) - quotes.at(first) - 2 * cells.quoted.sum(axis=1)
    for i in np.flatnonzero(cells.nested.any(axis=0)):
        within = quotes.at(cells.ends[:, i] - 1) - quotes.at(cells.begins[:, i])
        found -= np.where(cells.nested[:, i], within, 0)
    return found


def _plain(cells: _Cells, columns: Sequence[pl.Series]) -> Flags:
    """Return which records have but numbers and truth values where no text, null or nested value is."""
    plain = ~(cells.quoted | cells.null | cells.nested)
    which = np.flatnonzero(plain.any(axis=0)).tolist()
    checks = pl.DataFrame([columns[i] for i in which]).select(pl.all().str.contains(_PLAIN))
    fits = np.ones(len(cells.records), np.bool_)
    for i, proven in zip(which, checks.get_columns(), strict=True):
        fits &= ~plain[:, i] | proven.to_numpy()
    return fits


def _compact(found: pl.Series, nested: Flags, field: Field) -> pl.Series:
    if nested.all():
        return field.nested.compact(found)
    which = pl.Series(nested)
    return found.scatter(which.arg_true(), field.nested.compact(found.filter(which)))


_PLAIN: Final = f"^{PLAIN}$"
