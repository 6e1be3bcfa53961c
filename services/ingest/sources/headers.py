"""A file's columns against the schema's."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from services.ingest.columns import TargetColumn
from services.ingest.failures import ColumnMissing, SourceMalformed
from services.ingest.sources.source import EXTRA


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Which column of the file is which of the schema; `extra` are those that the schema lacks."""

    names: Mapping[str, str]
    """Name in the file by name in the schema."""
    extra: tuple[str, ...]

    def rows(self, texts: pl.DataFrame, columns: Sequence[TargetColumn]) -> pl.DataFrame:
        """Return the schema's columns of a batch of the file's texts; `extra` takes the others.

        A column `extra` that the file has itself stays as it is, or is one of the others.
        """
        selected = [self._column(column) for column in columns]
        return texts.select(selected)

    def _column(self, column: TargetColumn) -> pl.Expr:
        own = self.names.get(column.name)
        if _is_extra(column) and self.extra:
            others = [*self.extra, *([own] if own else [])]
            return pl.struct(others).struct.json_encode().alias(column.name)
        if own is None:
            return pl.lit(None, dtype=pl.String).alias(column.name)
        return pl.col(own).alias(column.name)


def match(file: str, header: Sequence[str], columns: Sequence[TargetColumn]) -> Matched:
    """Match a header to the schema, by name, then by name without case.

    Raises:
        SourceMalformed: a name stands twice, or the schema's stands twice when case is left out.
        ColumnMissing: the file lacks a column of the schema.
    """
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        text = f"{file}: the header names {', '.join(doubled)} more than once; name each once"
        raise SourceMalformed(text, source=file, file=file)
    try:
        names = spelled(header, [c.name for c in columns])
    except ValueError as error:
        raise SourceMalformed(f"{file}: {error}; name each once", source=file, file=file) from error
    missing = [c.name for c in columns if c.name not in names and not _is_extra(c)]
    if missing:
        raise ColumnMissing(_missing(file, missing, header), column=", ".join(missing[:10]))
    used = set(names.values())
    return Matched(names=names, extra=tuple(name for name in header if name not in used))


def spelled(found: Iterable[str], wanted: Sequence[str]) -> dict[str, str]:
    """Return the source's spelling of each name that it has: the same, or else without case.

    Raises:
        ValueError: a name has several spellings, and none of them is the same.
    """
    spellings: dict[str, list[str]] = {}
    for name in found:
        spellings.setdefault(name.casefold(), []).append(name)
    names = {}
    for name in wanted:
        candidates = spellings.get(name.casefold(), [])
        if len(candidates) > 1 and name not in candidates:
            raise ValueError(f"{name} stands there as {' and as '.join(candidates)}")
        if candidates:
            names[name] = name if name in candidates else candidates[0]
    return names


def _is_extra(column: TargetColumn) -> bool:
    return column.name == EXTRA and column.type == "JSON"


def _missing(file: str, missing: Sequence[str], header: Sequence[str]) -> str:
    near = difflib.get_close_matches(missing[0], header, n=1)
    hint = f" (did the file mean it by {near[0]}?)" if near else ""
    shown = ", ".join(header[:60])
    return (
        f"{file} lacks {', '.join(missing[:10])} of the schema{hint}; found {shown}; "
        "correct the schema or the file"
    )
