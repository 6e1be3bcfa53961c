"""What must hold between the parts of a pipeline, once each part is well-formed."""

from collections.abc import Iterable, Iterator
from typing import Final

from libs.common.lineage import (
    LINEAGE,
    PlatformColumn,
    base_type,
    target_columns,
    variant_column,
)
from services.orchestrator.configs.documents import Document, Path
from services.orchestrator.configs.file_errors import FileError, listed, nearest
from services.orchestrator.configs.files import FileSourceFile, SourceFile
from services.orchestrator.configs.folder import Folder
from services.orchestrator.configs.parsing import Wrong
from services.orchestrator.configs.quantities import Misread
from services.orchestrator.configs.scope_values import scope_literal
from services.orchestrator.specs import ColumnSpec, PipelineSpec, TargetSpec, TransformSpec
from services.orchestrator.transforms.guard import Guarded, check_transform, scope_parameter
from services.orchestrator.transforms.refusals import TransformRefused

SOURCE_COLUMN: Final = "_source"
EXTRA_COLUMN: Final = "extra"
_MAX_CLUSTER: Final = 4
_TIMES: Final = ("DATE", "DATETIME", "TIMESTAMP")
_UNORDERED: Final = ("JSON", "FLOAT64")
_NOT_IN_SILVER: Final = ("_chunk_id", "_source", "_snapshot")
GRAINS: Final = {"day": ("DATE",), "month": ("DATE", "TIMESTAMP")}
"""Types of the scope's column by the window's grain: a TIMESTAMP is midnight UTC of a month's first day."""
_BECOMES: Final = {"DATE": _TIMES}
"""Types that a target column of a transform's scope may have, by the raw column's type; else its own."""


def check_source(file: SourceFile, document: Document) -> Iterator[FileError]:
    """Yield what is wrong between the options of a source."""
    if isinstance(file, FileSourceFile):
        for name in ("compression", "encoding"):
            if getattr(file.options, name) and file.options.format == "parquet":
                yield document.error(
                    ("options", name), found=f"{name} with format parquet",
                    allowed=f"{name} with formats of text; Parquet files say theirs themselves",
                    advice="remove it",
                )  # fmt: skip
        for name in ("delimiter", "quote", "null_values"):
            if getattr(file.options, name) and file.options.format != "csv":
                yield document.error(
                    ("options", name), found=f"{name} with format {file.options.format}",
                    allowed=f"{name} with format csv", advice="remove it",
                )  # fmt: skip
        yield from _pages(file, document)
        yield from _store(file, document)
        return
    groups = {"usage_group_by": "usage/completions", "costs_group_by": "costs"}
    for name, report in groups.items():
        if getattr(file.options, name) and report not in file.options.reports:
            yield document.error(
                ("options", name), found=f"{name} without the report {report}",
                allowed=f"{name} beside reports: [{report}]", advice="add the report or remove it",
            )  # fmt: skip


def _pages(file: FileSourceFile, document: Document) -> Iterator[FileError]:
    options = file.options
    for name in ("records", "parent_fields"):
        if getattr(options, name) and options.format != "json":
            yield document.error(
                ("options", name), found=f"{name} with format {options.format}",
                allowed=f"{name} with format json", advice="remove it",
            )  # fmt: skip
    if options.parent_fields and not options.records and options.format == "json":
        yield document.error(
            ("options", "parent_fields"), found="parent_fields without records",
            allowed="parent_fields beside records", advice="say in records where the array is",
        )  # fmt: skip


def _store(file: FileSourceFile, document: Document) -> Iterator[FileError]:
    options = file.options
    if options.path.startswith("s3://") and file.secret is None:
        yield document.error(
            (), found="no secret", allowed="a secret for sources on s3://",
            advice="put access_key_id and secret_access_key as JSON into a secret and name it: secret: NAME",
        )  # fmt: skip
    if not options.remote and file.secret is not None:
        yield document.error(
            ("secret",), found="a secret for files below the tenant's folder",
            allowed="a secret for gs:// and s3://", advice="remove it",
        )  # fmt: skip
    stores = {"region": ("s3://",), "endpoint": ("gs://", "s3://")}
    for name, schemes in stores.items():
        if getattr(options, name) and not options.path.startswith(schemes):
            yield document.error(
                ("options", name), found=f"{name} with path {options.path}",
                allowed=f"{name} with {' or '.join(schemes)}", advice="remove it",
            )  # fmt: skip


def check(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """Yield what is wrong between window, write mode, target and schema."""
    yield from _window(spec, document)
    yield from _write(spec, document)
    yield from _epochs(spec, document)
    yield from _contract(spec, document)
    platform = target_columns([column.platform() for column in spec.columns])
    yield from _layout(spec.target, platform, document, ("target",))


def _epochs(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """Columns whose numbers count from 1970 are columns of times."""
    times = [c.name for c in spec.columns if c.type in _TIMES and c.mode != "REPEATED"]
    for name, _ in spec.source.texts.epochs:
        if name not in times:
            yield document.error(
                ("source",), found=f"source {spec.source.source_id} with texts.epochs of {name}",
                allowed=f"{' or '.join(_TIMES)} columns of schema {spec.schema_id}: {listed(times)}",
                advice=nearest(name, times) or "name another column, or change its type",
            )  # fmt: skip


def _window(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    if spec.source.options.kind != "openai":
        return
    if spec.window is None:
        yield document.error(
            ("window",), found="no window", allowed="a window for sources of kind openai",
            advice="add window: {grain: day, lookback: 7d}",
        )  # fmt: skip
        return
    if spec.window.grain != "day":
        yield document.error(
            ("window", "grain"), found=f"{spec.window.grain} with a source of kind openai",
            allowed="day with sources of kind openai, which report by the day",
            advice="write grain: day, and a lookback of as many days",
        )  # fmt: skip
    if spec.window.timezone != "UTC":
        yield document.error(
            ("window", "timezone"), found=f"{spec.window.timezone} with a source of kind openai",
            allowed="UTC with sources of kind openai, whose days are those of UTC",
            advice="write timezone: UTC, or remove it",
        )  # fmt: skip
    if spec.write.mode == "append" and not spec.window.lag_days:
        yield document.error(
            ("window", "lag"), found="0d with mode append",
            allowed="1d or more with mode append, which reads a day once, when it is over",
            advice="write lag: 1d, or replace a scope, which reads a day again",
        )  # fmt: skip


def _write(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
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


def _contract(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """The schema leaves the names that a contract needs."""
    contract = spec.source.contract
    extra = _find(spec.columns, EXTRA_COLUMN)
    if contract.columns != "discard_value" and extra is not None:
        yield document.error(
            ("source",), found=f"contract.columns {contract.columns} in source "
            f"{spec.source.source_id}, and a column {EXTRA_COLUMN} in schema {spec.schema_id}",
            allowed=f"discard_value beside a column {EXTRA_COLUMN}, which takes what is unknown",
            advice=f"remove the column {EXTRA_COLUMN} or contract.columns",
        )  # fmt: skip
    if contract.columns == "evolve" and spec.source.options.kind == "openai":
        yield document.error(
            ("source",), found=f"contract.columns evolve in source {spec.source.source_id} of kind openai",
            allowed="discard_value, discard_row or freeze with kind openai, whose fields are known "
            "when a report has been read",
            advice=f"keep what is unknown in a column {EXTRA_COLUMN} JSON",
        )  # fmt: skip
    variants = {variant_column(column.name).casefold() for column in spec.columns}
    taken = [c.name for c in spec.columns if c.name.casefold() in variants]
    if contract.types == "evolve" and taken:
        yield document.error(
            ("schema",), found=f"columns {listed(taken)}",
            allowed="names that contract.types evolve does not need for itself",
            advice="rename them, or choose discard_row or freeze",
        )  # fmt: skip


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
    types = GRAINS[spec.window.grain]
    column = _find(spec.columns, name)
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
        column = _find(spec.columns, name)
        if column is None:
            yield _no_column(document, field, name, [c.name for c in spec.columns])
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
        column = _find(spec.columns, name)
        if column is None:
            yield _no_column(document, field, name, [c.name for c in spec.columns])
        elif base_type(column.type) in _UNORDERED or column.mode == "REPEATED":
            yield document.error(
                field, found=f"{name} ({column.type} {column.mode})",
                allowed="a column that can be compared exactly", advice="name another column",
            )  # fmt: skip
    if len(set(write.key)) < len(write.key) or write.version in write.key:
        yield document.error(
            ("write", "key"), found=f"{listed(write.key)} and version {write.version}",
            allowed="each column once", advice="remove the repeated one",
        )  # fmt: skip


def _layout(
    target: TargetSpec, columns: Iterable[PlatformColumn], document: Document, field: Path
) -> Iterator[FileError]:
    """Partition and cluster columns exist and have types that BigQuery takes."""
    by_name = {column.name: column for column in columns}
    times = [c.name for c in by_name.values() if _is_time(c)]
    if target.partition_by not in times:
        column = by_name.get(target.partition_by)
        found = f"{target.partition_by} ({column.type})" if column else target.partition_by
        yield document.error(
            (*field, "partition_by"), found=found,
            allowed=f"a DATE, DATETIME or TIMESTAMP column: {listed(times)}",
            advice=nearest(target.partition_by, times) or "leave it out for ingestion_date",
        )  # fmt: skip
    if len(target.cluster_by) > _MAX_CLUSTER or len(set(target.cluster_by)) < len(
        target.cluster_by
    ):
        yield document.error(
            (*field, "cluster_by"), found=listed(target.cluster_by),
            allowed=f"at most {_MAX_CLUSTER} columns, each once", advice="remove some",
        )  # fmt: skip
    for index, name in enumerate(target.cluster_by):
        column = by_name.get(name)
        if column is None:
            yield _no_column(document, (*field, "cluster_by", index), name, by_name)
        elif base_type(column.type) in _UNORDERED or column.mode == "REPEATED":
            yield document.error(
                (*field, "cluster_by", index), found=f"{name} ({column.type} {column.mode})",
                allowed="a column of a type that BigQuery clusters by", advice="name another",
            )  # fmt: skip


def _is_time(column: PlatformColumn) -> bool:
    return column.type in _TIMES and column.mode != "REPEATED"


def _no_column(document: Document, field: Path, name: str, known: Iterable[str]) -> FileError:
    names = list(known)
    return document.error(
        field,
        found=name,
        allowed=f"a column of the table: {listed(names)}",
        advice=nearest(name, names) or "add the column to the schema, or name another",
    )


def check_transforms(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """Yield what is wrong with the scope and the target of each transform."""
    seen: set[str] = set()
    for transform in spec.transforms:
        index = _index_of(document, transform.transform_id)
        field: Path = ("transforms", index)
        if transform.transform_id in seen:
            yield document.error(
                (*field, "sql"), found=f"{transform.transform_id} twice",
                allowed="each transform once", advice="copy the file under another name",
            )  # fmt: skip
        seen.add(transform.transform_id)
        yield from _transform_scope(spec, transform, document, field)
        yield from _transform_target(spec, transform, document, field)


def _index_of(document: Document, transform: str) -> int:
    value = document.value if isinstance(document.value, dict) else {}
    parts = value.get("transforms")
    for index, part in enumerate(parts if isinstance(parts, list) else []):
        if isinstance(part, dict) and part.get("sql") == transform:
            return index
    return 0


def raw_scope(spec: PipelineSpec) -> tuple[str, ...]:
    """Return the raw columns that a transform's scope is made of; empty if there are none."""
    return {"replace": spec.scope_columns, "append": (SOURCE_COLUMN,), "merge": ()}[spec.write.mode]


def _transform_scope(
    spec: PipelineSpec, transform: TransformSpec, document: Document, field: Path
) -> Iterator[FileError]:
    needed = raw_scope(spec)
    stated = dict(transform.scope)
    if not needed:
        yield document.error(
            (*field, "scope"), found="a transform of a pipeline with mode merge",
            allowed="transforms with mode replace or append",
            advice="remove the transform, or replace a scope instead",
        )  # fmt: skip
    elif tuple(stated) != needed:
        yield document.error(
            (*field, "scope"), found=f"scope of {listed(stated)}",
            allowed=f"{{{', '.join(f'{name}: target column' for name in needed)}}}",
            advice="name the columns of write.scope (append: _source) in their order",
        )  # fmt: skip
    if not transform.columns:
        return
    for name, target in stated.items():
        column = _find(transform.columns, target)
        if column is None:
            names = [c.name for c in transform.columns]
            yield _no_column(document, (*field, "scope", name), target, names)
        elif column.type not in (allowed := _becomes(_raw_type(spec, name))):
            yield document.error(
                (*field, "scope", name), found=f"{target} ({column.type})",
                allowed=f"a column of type {' or '.join(allowed)}", advice="name another column",
            )  # fmt: skip


def _becomes(raw_type: str) -> tuple[str, ...]:
    return _BECOMES.get(raw_type, (raw_type,))


def _raw_type(spec: PipelineSpec, name: str) -> str:
    lineage = {column.name: column.type for column in LINEAGE}
    column = _find(spec.columns, name)
    return column.type if column else lineage.get(name, "")


def _transform_target(
    spec: PipelineSpec, transform: TransformSpec, document: Document, field: Path
) -> Iterator[FileError]:
    table = transform.target.table_id(spec.tenant)
    if table == spec.target.table_id(spec.tenant):
        yield document.error(
            (*field, "target"), found=f"{table}, the pipeline's own raw table",
            allowed="another table", advice="write the result into a table of its own",
        )  # fmt: skip
    if transform.columns:
        declared = [column.platform() for column in transform.columns]
        columns = [c for c in target_columns(declared) if c.name not in _NOT_IN_SILVER]
        yield from _layout(transform.target, columns, document, (*field, "target"))


def judge_sql(spec: PipelineSpec, transform: TransformSpec, folder: Folder) -> Guarded:
    """Return what may run of a transform; raise Wrong with every refusal."""
    scope = [name for name, _ in transform.scope]
    try:
        return check_transform(
            transform.sql,
            tenant=spec.tenant,
            allowed_parameters={scope_parameter(i, name) for i, name in enumerate(scope)},
            scope_columns=[target for _, target in transform.scope],
            target_columns=[column.name for column in transform.columns],
            transform=transform.transform_id,
        )
    except TransformRefused as refused:
        raise Wrong(
            FileError(
                file=folder.shown(f"transforms/{transform.transform_id}.sql"),
                line=one.line,
                field=f"column {one.column}" if one.column else "",
                found=one.found,
                allowed=one.allowed,
                advice=one.advice,
            )
            for one in refused.refusals
        ) from None


def _find(columns: Iterable[ColumnSpec], name: str) -> ColumnSpec | None:
    return next((column for column in columns if column.name == name), None)
