"""JSON objects as batches of a schema's rows: by their shapes, and one by one where they are odd."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from services.ingest import exact_json
from services.ingest.columns import TargetColumn
from services.ingest.sources.around import Around
from services.ingest.sources.lines import Records
from services.ingest.sources.marked_records import MarkedRecords
from services.ingest.sources.nested_values import FEWEST, NestedValues
from services.ingest.sources.objects import Layout, Objects
from services.ingest.sources.shapes import Field, Shape, Use
from services.ingest.sources.source import RawBatch, Reject
from services.ingest.sources.templates import Template

MOST_SHAPES: Final = 32
SAMPLE: Final = 16
"""Records that are read exactly to learn from them."""


class ObjectReader:
    """Reads records of one file, or of a part of it; what it has seen makes the next ones faster.

    Args:
        columns: The schema.
        taken_over: Fields that a record has from around it where it has none of that name.
        fewest: Records that are worth a shape of their own.
    """

    def __init__(
        self,
        columns: Sequence[TargetColumn],
        taken_over: Sequence[str] = (),
        *,
        fewest: int = FEWEST,
    ) -> None:
        self._objects = Objects(columns)
        self._taken_over = tuple(taken_over)
        self._fewest = fewest
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._templates: dict[tuple[str, ...], Template] = {}
        self._nested: dict[str, NestedValues] = {}

    def batch(
        self,
        records: Records,
        first: int,
        size: int,
        *,
        around: Around | None = None,
        broken: Callable[[int, json.JSONDecodeError], None] = lambda *_: None,
    ) -> RawBatch:
        """Return records as a batch. What is no object is rejected, with its reason.

        Args:
            records: n records.
            first: Row number of the first.
            size: Bytes of the source that they took.
            around: What is around them, where fields are taken over.
            broken: Called with the index of a record that is no JSON at all, before it is rejected.
        """
        binary = records.series()
        texts = _texts(binary)
        found = _Found(MarkedRecords(records))
        left = self._by_shapes(texts, texts.is_not_null().arg_true(), found, around)
        odd = pl.concat([left, texts.is_null().arg_true(), *found.wrong]).sort()
        self._exactly(binary, odd, first, found, around, broken)
        rows, indexes = found.together(self._objects)

        def raw_rows(wanted: Sequence[int]) -> list[str]:
            return [_raw(binary[indexes[i]], indexes[i], around) for i in wanted]

        return RawBatch(
            rows=rows,
            row_numbers=indexes.cast(pl.Int64) + first,
            raw_rows=raw_rows,
            rejects=tuple(found.rejects),
            read_bytes=size,
            proven_json=True,
        )

    def _by_shapes(
        self, texts: pl.Series, left: pl.Series, found: "_Found", around: Around | None
    ) -> pl.Series:
        """Read what is of a known shape, or of one that can be learned; return what is left."""
        hits = dict.fromkeys(self._shapes, 0)
        wanted, enough = list(self._shapes), True
        while enough and len(left) >= self._fewest:
            before = len(left)
            for names in wanted:
                count = len(left)
                left = self._of_shape(self._shapes[names], texts, left, found, around)
                hits[names] = hits.get(names, 0) + count - len(left)
            enough = not wanted or before - len(left) >= self._fewest or len(hits) == 1
            wanted = self._learn(texts.gather(left.head(SAMPLE)))
            enough = enough and bool(wanted)
        if len(texts) >= MOST_SHAPES * self._fewest:
            useful = sorted(hits, key=lambda names: -hits[names])[:MOST_SHAPES]
            self._shapes = {n: self._shapes[n] for n in useful if hits[n] >= self._fewest}
            self._templates = {n: t for n, t in self._templates.items() if n in self._shapes}
        return left

    def _learn(self, sample: pl.Series) -> list[tuple[str, ...]]:
        """Return the names of shapes that these records are of, where they teach something new."""
        learned: dict[tuple[str, ...], None] = {}
        for text in sample.to_list():
            try:
                record = exact_json.loads(text)
                layout = self._layout(tuple(record)) if isinstance(record, dict) else None
            except ValueError:
                continue
            if layout is None:
                continue
            names = tuple(record)
            if names not in self._shapes:
                fields = self._fields(names, layout)
                self._shapes[names] = Shape(fields)
                if fields:
                    self._templates[names] = Template(fields, text)
            if self._shapes[names].learn(record):
                learned[names] = None
        return list(learned)

    def _layout(self, names: tuple[str, ...]) -> Layout:
        missing = (name for name in self._taken_over if name not in names)
        return self._objects.layout((*names, *missing))

    def _fields(self, names: Sequence[str], layout: Layout) -> list[Field]:
        uses = self._uses(layout)
        return [
            Field(
                name=name,
                use=uses.get(name, "none"),
                nested=self._nested.setdefault(name, NestedValues(self._fewest)),
            )
            for name in names
        ]

    def _uses(self, layout: Layout) -> dict[str, Use]:
        uses: dict[str, Use] = dict.fromkeys(layout.extra, "json")
        for column in self._objects.columns:
            if column.name in layout.names:
                uses[layout.names[column.name]] = "json" if column.type == "JSON" else "cell"
        return uses

    def _of_shape(
        self,
        shape: Shape,
        texts: pl.Series,
        left: pl.Series,
        found: "_Found",
        around: Around | None,
    ) -> pl.Series:
        """Read those of the left records that are of this shape; return the others."""
        left = self._of_template(shape.names, left, found, around)
        if not len(left):
            return left
        read = shape.read(texts.gather(left) if len(left) < len(texts) else texts)
        indexes = left.filter(read.fits)
        if not len(indexes):
            return left
        rows = self._rows(read.values, indexes, shape.names, around)
        if read.wrong is not None:
            found.wrong.append(indexes.filter(read.wrong))
            rows, indexes = rows.filter(~read.wrong), indexes.filter(~read.wrong)
        found.add(rows, indexes)
        return left.filter(~read.fits)

    def _of_template(
        self, names: tuple[str, ...], left: pl.Series, found: "_Found", around: Around | None
    ) -> pl.Series:
        """Read those of the left records that are written as a template has them; return the others."""
        template = self._templates.get(names)
        if template is None:
            return left
        records = left.to_numpy().astype(np.int64)
        apart = np.zeros(len(found.marked.starts), np.bool_)
        for start in range(0, len(records), template.most_records):
            taken = template.read(found.marked, records[start : start + template.most_records])
            if len(taken.records):
                apart[taken.records] = True
                indexes = pl.Series(taken.records.astype(np.uint32))
                found.add(self._rows(taken.values, indexes, names, around), indexes)
        return left.filter(pl.Series(~apart[records]))

    def _rows(
        self,
        values: Mapping[str, pl.Series],
        indexes: pl.Series,
        names: tuple[str, ...],
        around: Around | None,
    ) -> pl.DataFrame:
        layout = self._layout(names)
        if around is not None:
            over = {
                name: around.series(name, indexes, as_json=use == "json")
                for name, use in self._uses(layout).items()
                if name in self._taken_over and name not in names
            }
            values = {**values, **over}
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(indexes))
        made = []
        for column in self._objects.columns:
            if self._objects.takes_extra(column):
                series = _others(values, nothing, layout)
            else:
                name = layout.names.get(column.name)
                series = nothing if name is None else values.get(name, nothing)
            made.append(series.alias(column.name))
        return pl.DataFrame(made)

    def _exactly(
        self,
        records: pl.Series,
        odd: pl.Series,
        first: int,
        found: "_Found",
        around: Around | None,
        broken: Callable[[int, json.JSONDecodeError], None],
    ) -> None:
        """Read records one by one."""
        rows, indexes = [], []
        for index, raw in zip(odd.to_list(), records.gather(odd).to_list(), strict=True):
            try:
                record = _object(raw.decode().strip())
                if around is not None:
                    record = around.merged(index, record)
                rows.append(self._objects.row(record))
            except ValueError as error:
                if isinstance(error, json.JSONDecodeError):
                    broken(index, error)
                found.rejects.append(_reject(first + index, error, raw))
                continue
            indexes.append(index)
        if rows:
            found.add(self._objects.frame(rows), pl.Series(indexes, dtype=pl.UInt32))


@dataclasses.dataclass(slots=True)
class _Found:
    """What was read of a batch so far, in no order."""

    marked: MarkedRecords
    rows: list[pl.DataFrame] = dataclasses.field(default_factory=list)
    indexes: list[pl.Series] = dataclasses.field(default_factory=list)
    wrong: list[pl.Series] = dataclasses.field(default_factory=list)
    rejects: list[Reject] = dataclasses.field(default_factory=list)

    def add(self, rows: pl.DataFrame, indexes: pl.Series) -> None:
        self.rows.append(rows)
        self.indexes.append(indexes)

    def together(self, objects: Objects) -> tuple[pl.DataFrame, pl.Series]:
        """Return the rows in order of their records, and the records' indexes."""
        if not self.rows:
            return objects.frame([]), pl.Series([], dtype=pl.UInt32)
        if len(self.rows) == 1:
            return self.rows[0], self.indexes[0]
        indexes = pl.concat(self.indexes)
        order = indexes.arg_sort()
        return pl.concat(self.rows)[order], indexes.gather(order)


def _others(values: Mapping[str, pl.Series], nothing: pl.Series, layout: Layout) -> pl.Series:
    """Return what no other column takes; a field `extra` alone stays as it is."""
    if not layout.extra:
        return nothing
    if layout.own is not None and layout.extra == (layout.own,):
        return values.get(layout.own, nothing)
    parts: list[pl.Expr] = []
    for i, field in enumerate(layout.extra):
        parts.append(pl.lit(f"{',' if i else '{'}{exact_json.dumps(field)}:"))
        parts.append(pl.lit(values.get(field, nothing)).fill_null("null"))
    return pl.select(pl.concat_str([*parts, pl.lit("}")])).to_series()


def _texts(records: pl.Series) -> pl.Series:
    """Return records as texts, null where one is no UTF-8."""
    try:
        return records.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series([_text(record) for record in records.to_list()], dtype=pl.String)


def _text(record: bytes) -> str | None:
    try:
        return record.decode()
    except UnicodeDecodeError:
        return None


def _object(text: str) -> dict[str, Any]:
    found = exact_json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"it is no object but {text[:20]}")
    return found


def _raw(record: bytes, index: int, around: Around | None) -> str:
    text = record.decode().strip()
    if around is None:
        return text
    return exact_json.dumps(around.merged(index, exact_json.loads(text)))


def _reject(number: int, error: ValueError, line: bytes) -> Reject:
    why = "bytes that are no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    detail = f"found no JSON object ({why}); allowed is a JSON object"
    raw = line.decode("utf-8", errors="replace").strip()
    return Reject(row_number=number, kind="MALFORMED", detail=detail, raw=raw)
