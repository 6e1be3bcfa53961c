"""What must hold between a pipeline and its transforms."""

from collections.abc import Iterator
from typing import Final

from libs.common.lineage import LINEAGE, target_columns
from services.orchestrator.configs.documents import Document, Path
from services.orchestrator.configs.file_errors import FileError, listed
from services.orchestrator.configs.folder import Folder
from services.orchestrator.configs.parsing import Wrong
from services.orchestrator.configs.table_checks import TIMES, check_layout, find_column, no_column
from services.orchestrator.configs.write_checks import SOURCE_COLUMN
from services.orchestrator.specs import PipelineSpec, TransformSpec
from services.orchestrator.transforms.guard import Guarded, check_transform, scope_parameter
from services.orchestrator.transforms.refusals import TransformRefused

_NOT_IN_SILVER: Final = ("_chunk_id", "_source", "_snapshot")
_BECOMES: Final = {"DATE": TIMES}
"""Types that a target column of a transform's scope may have, by the raw column's type; else its own."""


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
        column = find_column(transform.columns, target)
        if column is None:
            names = [c.name for c in transform.columns]
            yield no_column(document, (*field, "scope", name), target, names)
        elif column.type not in (allowed := _becomes(_raw_type(spec, name))):
            yield document.error(
                (*field, "scope", name), found=f"{target} ({column.type})",
                allowed=f"a column of type {' or '.join(allowed)}", advice="name another column",
            )  # fmt: skip


def _becomes(raw_type: str) -> tuple[str, ...]:
    return _BECOMES.get(raw_type, (raw_type,))


def _raw_type(spec: PipelineSpec, name: str) -> str:
    lineage = {column.name: column.type for column in LINEAGE}
    column = find_column(spec.columns, name)
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
        yield from check_layout(transform.target, columns, document, (*field, "target"))


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
