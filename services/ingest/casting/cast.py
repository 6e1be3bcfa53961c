"""Casts a batch to the schema; what does not fit is named, never changed.

The fast caster proposes, the exact caster disposes: where `proposals` has no value for a text, the
text goes to `exact`, and only there.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Final

import polars as pl

from services.ingest.casting.exact import allowed, cast_exactly, coercions
from services.ingest.casting.proposals import propose
from services.ingest.casting.typed import taken, texts_of
from services.ingest.columns import TargetColumn

LONGEST_SHOWN: Final = 80


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A cell that is there and does not fit, or is absent and REQUIRED (`text` is None then)."""

    row: int
    column: TargetColumn
    text: str | None

    @property
    def reason(self) -> str:
        found = "nothing" if self.text is None else repr(self.text[:LONGEST_SHOWN])
        return f"CAST {self.column.name}: found {found}; allowed is {allowed(self.column)}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CastBatch:
    """A batch in the schema's types.

    frame: (n, c) one column per schema column; cells that do not fit are null, absent lists are empty.
    misfits: By column in the schema's order, then by row. Rows not named are whole.
    coerced: Cells read from an unusual form, by (column, kind).
    """

    frame: pl.DataFrame
    misfits: tuple[Misfit, ...]
    coerced: "Counter[tuple[str, str]]"


def cast(
    rows: pl.DataFrame, columns: Sequence[TargetColumn], *, proven_json: bool = False
) -> CastBatch:
    """Cast a batch to the types of `columns`.

    Args:
        rows: (n, c) one column per schema column, of texts or of the schema column's `dtype`; null
            is an absent value.
        columns: The schema.
        proven_json: Whether the texts of JSON columns are known to be JSON: they are taken as they are.
    """
    as_text = [
        c
        for c in columns
        if rows.schema[c.name] == pl.String and not (proven_json and c.type == "JSON")
    ]
    proposed = propose(rows, as_text)
    coerced: Counter[tuple[str, str]] = Counter()
    values = []
    misfits: list[Misfit] = []
    for column in columns:
        cells = rows[column.name]
        if column.name in proposed:
            found = _disposed(cells, proposed[column.name], column, coerced)
        else:
            assert cells.dtype == column.dtype, f"{column.name}: {cells.dtype} is no text"
            found = taken(cells, column)
        misfits += _misfits(cells, found, column)
        values.append(
            found.fill_null(pl.Series([[]], dtype=column.dtype)) if column.repeated else found
        )
    return CastBatch(frame=pl.DataFrame(values), misfits=tuple(misfits), coerced=coerced)


def _disposed(
    texts: pl.Series,
    proposal: pl.Series,
    column: TargetColumn,
    coerced: "Counter[tuple[str, str]]",
) -> pl.Series:
    """Return the proposal with its gaps filled by the exact caster, and count what that coerced."""
    if proposal.null_count() == texts.null_count():
        return proposal
    odd = (proposal.is_null() & texts.is_not_null()).arg_true()
    odd = odd.filter(texts.gather(odd) != "")
    left = texts.gather(odd)
    exact = cast_exactly(left, column)
    for kind, count in coercions(left, exact, column).items():
        coerced[column.name, kind] += count
    if exact.null_count() == len(exact):
        return proposal
    places = pl.int_range(len(texts), eager=True, dtype=pl.UInt32)
    places = places.scatter(odd, pl.int_range(len(texts), len(texts) + len(odd), eager=True))
    return pl.concat([proposal, exact], rechunk=True).gather(places)


def _misfits(cells: pl.Series, found: pl.Series, column: TargetColumn) -> list[Misfit]:
    """Return cells that are there and were not read, or are absent and required."""
    if found.null_count() == cells.null_count() and not (column.required and found.null_count()):
        return []
    lost = found.is_null().arg_true()
    there = cells.gather(lost).is_not_null()
    if cells.dtype == pl.String and (column.type != "STRING" or column.repeated):
        there &= cells.gather(lost).str.strip_chars() != ""
    wrong = lost.filter(there)
    misfits = [
        Misfit(row=row, column=column, text=text)
        for row, text in zip(wrong, texts_of(cells.gather(wrong)), strict=True)
    ]
    if column.required:
        misfits += [Misfit(row=row, column=column, text=None) for row in lost.filter(~there)]
    return misfits
