"""What must hold between a write mode, its scope or key, the window and the schema."""

from collections.abc import Iterator
from typing import Final

from libs.common.lineage import base_type
from services.orchestrator.configs.documents import Document, Path
from services.orchestrator.configs.file_errors import FileError, listed, nearest
from services.orchestrator.configs.quantities import Misread
from services.orchestrator.configs.scope_values import scope_literal
from services.orchestrator.configs.table_checks import UNORDERED, find_column, no_column
from services.orchestrator.specs import PipelineSpec

SOURCE_COLUMN: Final = "_source"
_GRAINS: Final = {"day": ("DATE",), "month": ("DATE", "TIMESTAMP")}
"""Types of the scope's column by the window's grain: a TIMESTAMP is midnight UTC of a month's first day."""


def check_write(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    write = spec.write
    stated = {"scope": write.scope or write.fixed, "key": write.key, "version": write.version}
    needed = {"append": set[str](), "replace": {"scope"}, "merge": {"key", "version"}}[write.mode]
    for name, value in stated.items():
        field: Path = ("write", name)
        if value and name not in needed:
            modes = "replace" if name == "scope" else "merge"
            yield document.error(
                field, found=f"{name} with mode {write.mode}", allowed=f"{name} with mode {modes}",
                advice="remove it, or change the mode",
            )  # fmt: skip
        elif not value and name in needed:
            yield document.error(
                field, found=f"no {name}", allowed=f"{name} with mode {write.mode}", advice="add it"
            )
    if write.mode == "replace" and (write.scope or write.fixed):
        yield from _scope(spec, document)
    if write.mode == "merge":
        yield from _key(spec, document)


def _scope(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """The scope's values are known before a row is read: days of the window, or objects."""
    field: Path = ("write", "scope")
    if len(spec.write.scope) != 1:
        yield document.error(
            field, found=f"{listed(spec.write.scope, empty='no column')} without a value",
            allowed="one column without a value, and any number as {column: value}",
            advice="name the column whose values are known before a row is read, fix the others",
        )  # fmt: skip
        return
    yield from _fixed(spec, document)
    name = spec.write.scope[0]
    at = _place(document, name)
    if spec.window is None:
        if name != SOURCE_COLUMN:
            yield document.error(
                (*field, at), found=name, allowed=f"{SOURCE_COLUMN} for pipelines without a window",
                advice=f"replace by {SOURCE_COLUMN}, or give the pipeline a window",
            )  # fmt: skip
        return
    types = _GRAINS[spec.window.grain]
    column = find_column(spec.columns, name)
    if column is None or column.type not in types or column.mode == "REPEATED":
        days = [c.name for c in spec.columns if c.type in types and c.mode != "REPEATED"]
        found = f"{name} ({column.type} {column.mode})" if column else name
        yield document.error(
            (*field, at), found=found,
            allowed=f"a {' or '.join(types)} column of schema {spec.schema_id}: {listed(days)}",
            advice=nearest(name, days) or f"name the column of the window's {spec.window.grain}",
        )  # fmt: skip


def _fixed(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """Fixed columns are declared ones whose value can be told apart exactly, each once."""
    named = [name.casefold() for name in spec.scope_columns]
    for name, value in spec.write.fixed:
        field: Path = ("write", "scope", _place(document, name))
        column = find_column(spec.columns, name)
        if column is None:
            yield no_column(document, field, name, [c.name for c in spec.columns])
        elif column.mode == "REPEATED":
            yield document.error(
                field, found=f"{name} ({column.type} {column.mode})",
                allowed="a column with one value in a row", advice="name another column",
            )  # fmt: skip
        elif named.count(name.casefold()) > 1:
            yield document.error(
                field, found=f"{name} twice", allowed="each column once", advice="remove one"
            )
        else:
            try:
                scope_literal(value, column.type)
            except Misread as misread:
                yield document.error(
                    field, found=f"{value!r} for {name} ({column.type})",
                    allowed=misread.allowed, advice=misread.advice,
                )  # fmt: skip


def _place(document: Document, name: str) -> int:
    """Return the place in `write.scope` of a column."""
    write = document.value.get("write") if isinstance(document.value, dict) else None
    entries = write.get("scope") if isinstance(write, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if entry == name or (isinstance(entry, dict) and name in entry):
            return index
    return 0


def _key(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    write = spec.write
    named: list[tuple[Path, str]] = [
        (("write", "key", index), name) for index, name in enumerate(write.key)
    ]
    if write.version:
        named.append((("write", "version"), write.version))
    for field, name in named:
        column = find_column(spec.columns, name)
        if column is None:
            yield no_column(document, field, name, [c.name for c in spec.columns])
        elif base_type(column.type) in UNORDERED or column.mode == "REPEATED":
            yield document.error(
                field, found=f"{name} ({column.type} {column.mode})",
                allowed="a column that can be compared exactly", advice="name another column",
            )  # fmt: skip
    if len(set(write.key)) < len(write.key) or write.version in write.key:
        yield document.error(
            ("write", "key"), found=f"{listed(write.key)} and version {write.version}",
            allowed="each column once", advice="remove the repeated one",
        )  # fmt: skip
