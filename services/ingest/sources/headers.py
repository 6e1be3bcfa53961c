"""A file's columns against the schema's."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence

from services.ingest.columns import TargetColumn
from services.ingest.failures import ColumnMissing, SourceMalformed
from services.ingest.sources.source import EXTRA


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Which column of the file is which of the schema; `extra` are those that the schema lacks."""

    names: Mapping[str, str]
    """Name in the file by name in the schema."""
    extra: tuple[str, ...]


def match(file: str, header: Sequence[str], columns: Sequence[TargetColumn]) -> Matched:
    """Match a header to the schema, by name, then by name without case.

    Raises:
        SourceMalformed: a name stands twice.
        ColumnMissing: the file lacks a column of the schema.
    """
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        text = f"{file}: the header names {', '.join(doubled)} more than once; name each once"
        raise SourceMalformed(text, file=file)
    folded = {name.casefold(): name for name in header}
    names = {
        c.name: c.name if c.name in header else folded[c.name.casefold()]
        for c in columns
        if c.name in header or c.name.casefold() in folded
    }
    missing = [c.name for c in columns if c.name not in names and not _is_extra(c)]
    if missing:
        raise ColumnMissing(_missing(file, missing, header), column=", ".join(missing[:10]))
    used = set(names.values())
    return Matched(names=names, extra=tuple(name for name in header if name not in used))


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
