"""Which rows of a batch do not land, and why: misfits, size, scope, keys."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from services.ingest.casting.cast import Misfit
from services.ingest.sink import LARGEST_ROW

COLUMN_BYTES = 128
"""What a column of a request of one row takes at most beside its value."""

LONGEST_SHOWN = 80


@dataclasses.dataclass(slots=True)
class Verdicts:
    """Reasons by index of the row; rows without any land. `blamed` counts rows by kind and column."""

    reasons: dict[int, list[str]] = dataclasses.field(default_factory=dict)
    blamed: "Counter[tuple[str, str]]" = dataclasses.field(default_factory=Counter)

    def misfits(self, found: Sequence[Misfit]) -> None:
        """Decide over cells that do not fit: their rows are lost, and their first column is to blame."""
        for misfit in found:
            if misfit.row not in self.reasons:
                self.blamed["CAST", misfit.column.name] += 1
            self.reasons.setdefault(misfit.row, []).append(misfit.reason)

    def unknown(self, fields: Mapping[int, Sequence[str]]) -> None:
        """Lose rows that have values in fields which the schema lacks."""
        for index, names in fields.items():
            shown = ", ".join(names[:10])
            sentence = f"CONTRACT {shown}: found a value; allowed are the schema's columns"
            self._lose("CONTRACT", names[0], index, sentence)

    def too_large(self, frame: pl.DataFrame) -> None:
        """Lose rows that no append can take."""
        if frame.estimated_size() < LARGEST_ROW - COLUMN_BYTES * frame.width:
            return
        sizes = row_bytes(frame)
        for index in (sizes > LARGEST_ROW).arg_true().to_list():
            sentence = f": found {sizes[index]} bytes; allowed are {LARGEST_ROW} for a row"
            self._lose("TOO_LARGE", "", index, f"TOO_LARGE{sentence}")

    def scope(self, frame: pl.DataFrame, column: str, values: Sequence[str]) -> None:
        """Lose rows outside of the scope, or with NULL in it."""
        cells = frame[column]
        known = cells.drop_nulls().unique()
        allowed = known.filter(scope_text(known).is_in(list(values)))
        inside = cells.is_in(allowed.implode()).fill_null(value=False)
        outside = (~inside).arg_true()
        texts = scope_text(cells.gather(outside)).to_list()
        for index, text in zip(outside.to_list(), texts, strict=True):
            found = f"found {text[:LONGEST_SHOWN] if text else 'nothing'}"
            shown = f"{found}; allowed is the run's scope {', '.join(values[:10])}"
            self._lose("SCOPE", column, index, f"SCOPE {column}: {shown}")

    def key(self, frame: pl.DataFrame, column: str) -> None:
        """Lose rows whose key is null."""
        for index in frame[column].is_null().arg_true().to_list():
            sentence = f"NULL_KEY {column}: found nothing; allowed is a value"
            self._lose("NULL_KEY", column, index, sentence)

    def _lose(self, kind: str, column: str, index: int, sentence: str) -> None:
        """Lose a row unless it is lost already."""
        if index not in self.reasons:
            self.reasons[index] = [sentence]
            self.blamed[kind, column] += 1

    def broken(self, columns: Sequence[str], expectation: str, indexes: Sequence[int]) -> None:
        """Lose rows that break a rule, for each rule that they break."""
        for index in indexes:
            self.reasons.setdefault(index, []).append(f"RULE {','.join(columns)}: {expectation}")
        if indexes:
            self.blamed["RULE", columns[0]] += len(indexes)

    def whole(self, height: int) -> pl.Series:
        """Return (height,) which rows of the batch have no reason so far."""
        lands = pl.Series([True]).new_from_index(0, height)
        return lands.scatter(list(self.reasons), values=False) if self.reasons else lands


def row_bytes(frame: pl.DataFrame) -> pl.Series:
    """Return (n,) how many bytes each row takes in a request of its own, at most."""
    sizes = [pl.lit(COLUMN_BYTES * frame.width)]
    for name, dtype in frame.schema.items():
        match dtype:
            case pl.String():
                sizes.append(pl.col(name).str.len_bytes())
            case pl.Binary():
                sizes.append(pl.col(name).bin.size())
            case pl.List():
                lengths = pl.col(name).list.eval(pl.element().str.len_bytes() + 4)
                sizes.append(lengths.list.sum())
    whole = [size.cast(pl.Int64).fill_null(0) for size in sizes]
    return frame.select(pl.sum_horizontal(whole).alias("bytes")).to_series()


def scope_text(values: pl.Series) -> pl.Series:
    """Return scope values as the texts that scopes are written in: moments in UTC, to the microsecond."""
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.to_string("%Y-%m-%d %H:%M:%S%.6f").str.strip_suffix(".000000")
    return values.cast(pl.String)
