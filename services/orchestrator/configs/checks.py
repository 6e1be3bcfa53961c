"""What must hold between the parts of a pipeline, once each part is well-formed."""

from collections.abc import Iterator
from typing import Final

from libs.common.lineage import target_columns, variant_column
from services.orchestrator.configs.documents import Document
from services.orchestrator.configs.file_errors import FileError, listed, nearest
from services.orchestrator.configs.table_checks import TIMES, check_layout, find_column
from services.orchestrator.configs.write_checks import check_write
from services.orchestrator.specs import PipelineSpec

_EXTRA_COLUMN: Final = "extra"


def check(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """Yield what is wrong between window, write mode, target and schema."""
    yield from _window(spec, document)
    yield from check_write(spec, document)
    yield from _epochs(spec, document)
    yield from _contract(spec, document)
    platform = target_columns([column.platform() for column in spec.columns])
    yield from check_layout(spec.target, platform, document, ("target",))


def _epochs(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """Columns whose numbers count from 1970 are columns of times."""
    times = [c.name for c in spec.columns if c.type in TIMES and c.mode != "REPEATED"]
    for name, _ in spec.source.texts.epochs:
        if name not in times:
            yield document.error(
                ("source",), found=f"source {spec.source.source_id} with texts.epochs of {name}",
                allowed=f"{' or '.join(TIMES)} columns of schema {spec.schema_id}: {listed(times)}",
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
    if spec.write.mode == "append" and spec.window.lookback_days > 1:
        yield document.error(
            ("window", "lookback"), found=f"{spec.window.lookback_days}d with mode append",
            allowed="1d with mode append, which would add a day again with each window that it lies in",
            advice="remove lookback, or replace a scope, which reads a day again",
        )  # fmt: skip


def _contract(spec: PipelineSpec, document: Document) -> Iterator[FileError]:
    """The schema leaves the names that a contract needs."""
    contract = spec.source.contract
    extra = find_column(spec.columns, _EXTRA_COLUMN)
    if contract.columns != "discard_value" and extra is not None:
        yield document.error(
            ("source",), found=f"contract.columns {contract.columns} in source "
            f"{spec.source.source_id}, and a column {_EXTRA_COLUMN} in schema {spec.schema_id}",
            allowed=f"discard_value beside a column {_EXTRA_COLUMN}, which takes what is unknown",
            advice=f"remove the column {_EXTRA_COLUMN} or contract.columns",
        )  # fmt: skip
    if contract.columns == "evolve" and spec.source.options.kind == "openai":
        yield document.error(
            ("source",), found=f"contract.columns evolve in source {spec.source.source_id} of kind openai",
            allowed="discard_value, discard_row or freeze with kind openai, whose fields are known "
            "when a report has been read",
            advice=f"keep what is unknown in a column {_EXTRA_COLUMN} JSON",
        )  # fmt: skip
    variants = {variant_column(column.name).casefold() for column in spec.columns}
    taken = [c.name for c in spec.columns if c.name.casefold() in variants]
    if contract.types == "evolve" and taken:
        yield document.error(
            ("schema",), found=f"columns {listed(taken)}",
            allowed="names that contract.types evolve does not need for itself",
            advice="rename them, or choose discard_row or freeze",
        )  # fmt: skip
