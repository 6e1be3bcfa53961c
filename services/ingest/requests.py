"""Requests to values: every wrong field is named, before anything is opened."""

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from convergence.ingest.v1 import chunk_pb2, ingest_service_pb2, source_pb2
from convergence.quality.v1 import suite_pb2

from libs.common.lineage import LINEAGE
from libs.common.names import PipelineName, RunName
from libs.common.parse import Reading, moment, required
from services.ingest.chunks import ByteRange, Chunk, Input, Part, ReportWindow, RowGroups, WholeFile
from services.ingest.columns import EPOCH_TYPES, LINEAGE_COLUMNS, TargetColumn
from services.ingest.contract import Contract, TypeMode
from services.ingest.ingestion import Task
from services.ingest.rules import Ignore, Predicate, Rule, row_rules
from services.ingest.sources.source import EXTRA, ColumnMode, Interval, Splitting

IGNORES: Final = {
    suite_pb2.IGNORE_ROW_IF_UNSPECIFIED: Ignore.BOTH_MISSING,
    suite_pb2.IGNORE_ROW_IF_BOTH_VALUES_ARE_MISSING: Ignore.BOTH_MISSING,
    suite_pb2.IGNORE_ROW_IF_EITHER_VALUE_IS_MISSING: Ignore.EITHER_MISSING,
    suite_pb2.IGNORE_ROW_IF_NEITHER: Ignore.NONE,
}


TYPE_MODES: Final[Mapping[int, TypeMode]] = {
    source_pb2.CONTRACT_MODE_UNSPECIFIED: "discard_row",
    source_pb2.CONTRACT_MODE_DISCARD_ROW: "discard_row",
    source_pb2.CONTRACT_MODE_FREEZE: "freeze",
    source_pb2.CONTRACT_MODE_EVOLVE: "evolve",
}
COLUMN_MODES: Final[Mapping[int, ColumnMode]] = {
    source_pb2.CONTRACT_MODE_UNSPECIFIED: "discard_value",
    source_pb2.CONTRACT_MODE_DISCARD_VALUE: "discard_value",
    source_pb2.CONTRACT_MODE_DISCARD_ROW: "discard_row",
    source_pb2.CONTRACT_MODE_FREEZE: "freeze",
    source_pb2.CONTRACT_MODE_EVOLVE: "evolve",
}
Mode = TypeVar("Mode", bound=str)


def parent_of(text: str) -> PipelineName | RunName:
    """Read a pipeline or a run below it."""
    return RunName.parse(text) if "/runs/" in text else PipelineName.parse(text)


def columns_of(columns: list[ingest_service_pb2.Column]) -> tuple[TargetColumn, ...]:
    """Read the schema's columns; raise ValueError for none or one that cannot be cast to."""
    if not columns:
        raise ValueError("found none; give the schema's columns")
    names = [column.name.casefold() for column in columns]
    taken = sorted(LINEAGE_NAMES.intersection(names) | {n for n in names if names.count(n) > 1})
    if taken:
        raise ValueError(
            f"found {', '.join(taken)} twice; allowed is each name once, beside lineage"
        )
    return tuple(TargetColumn.parse(c.name, c.type, c.mode) for c in columns)


EPOCH_MICROS: Final = {
    source_pb2.EPOCH_UNIT_SECONDS: 1_000_000,
    source_pb2.EPOCH_UNIT_MILLIS: 1_000,
    source_pb2.EPOCH_UNIT_MICROS: 1,
}


def reading_of(
    columns: Sequence[TargetColumn], texts: source_pb2.Texts
) -> tuple[TargetColumn, ...]:
    """Return columns that know how their texts are read; raise ValueError for what is no time."""
    times = {c.name for c in columns if c.type in EPOCH_TYPES and not c.repeated}
    for name, unit in texts.epochs.items():
        if name not in times or unit not in EPOCH_MICROS:
            raise ValueError(
                f"found epochs of {name} ({unit}); allowed are seconds, milliseconds or "
                f"microseconds for {', '.join(sorted(times)) or 'no column of this schema'}"
            )
    micros = {name: EPOCH_MICROS[unit] for name, unit in texts.epochs.items()}
    return tuple(
        dataclasses.replace(
            column,
            epoch_micros=micros.get(column.name, 0),
            truncates=texts.truncate_fractions,
        )
        for column in columns
    )


def contract_of(
    columns: Sequence[ingest_service_pb2.Column],
) -> Callable[[source_pb2.Contract], Contract]:
    """Return what reads a contract beside a schema's columns; unset modes are the defaults.

    It raises ValueError for a mode that is none, or none of types, or that the schema contradicts.
    """

    def read(stated: source_pb2.Contract) -> Contract:
        found = Contract(
            columns=_mode("columns", stated.columns, COLUMN_MODES),
            types=_mode("types", stated.types, TYPE_MODES),
        )
        if found.columns != "discard_value" and any(c.name.casefold() == EXTRA for c in columns):
            raise ValueError(
                f"found columns {found.columns} beside a column {EXTRA} of the schema; "
                "allowed is discard_value"
            )
        return found

    return read


def _mode(field: str, stated: int, modes: Mapping[int, Mode]) -> Mode:
    if stated not in modes:
        raise ValueError(
            f"found mode {stated} of {field}; allowed are {', '.join(dict.fromkeys(modes.values()))}"
        )
    return modes[stated]


def interval_of(message: source_pb2.Interval) -> Interval:
    """Read a time span; its end is after its start."""
    made = Interval(start=moment(message.start_time), end=moment(message.end_time))
    if made.end <= made.start:
        raise ValueError(f"found {made.start} to {made.end}; allowed is an end after the start")
    return made


LINEAGE_NAMES: Final = frozenset(column.name for column in LINEAGE)
CHUNK_BYTES: Final = 64 * 1024 * 1024


def splitting_of(
    request: ingest_service_pb2.PlanChunksRequest, cancelled: threading.Event
) -> tuple[str, Splitting]:
    """Read whose source is to be split, and how. Raises InvalidRequest naming every wrong field."""
    with Reading() as read:
        parent = read("parent", parent_of, request.parent)
        read("source", parts_of, request.source)
        contract = read("source.contract", contract_of(request.columns), request.source.contract)
        columns = read("columns", columns_of, list(request.columns))
        given = request.HasField("window")
        window = read("window", interval_of, request.window) if given else None
        spec_hash = read("spec_hash", required, request.spec_hash)
        if request.chunk_bytes < 0:
            read.refuse("chunk_bytes", f"found {request.chunk_bytes}; allowed is 0 or more")
    return parent.tenant, Splitting(
        columns=columns,
        unknown=contract.columns,
        window=window,
        chunk_bytes=request.chunk_bytes or CHUNK_BYTES,
        spec_hash=spec_hash,
        cancelled=cancelled,
    )


def chunk_of_message(message: chunk_pb2.Chunk) -> Chunk:
    """Read a chunk; raise ValueError for one without a part."""
    found = message.input
    if not message.chunk_id or not found.input_id:
        raise ValueError("found no chunk_id or input; give a chunk of PlanChunks as it was")
    return Chunk(
        chunk_id=message.chunk_id,
        input=Input(
            input_id=found.input_id,
            content_hash=found.content_hash,
            size_bytes=found.size_bytes,
            change_time_nanos=found.change_time_nanos,
            version=found.version,
            delivery=found.delivery,
        ),
        part=_part(message),
        estimated_bytes=message.estimated_bytes,
    )


def _part(message: chunk_pb2.Chunk) -> Part:
    match message.WhichOneof("part"):
        case "byte_range":
            r = message.byte_range
            return ByteRange(
                start=r.start,
                end=r.end,
                first_row_number=r.first_row_number,
                header=tuple(r.header),
            )
        case "row_groups":
            g = message.row_groups
            return RowGroups(start=g.start, end=g.end, first_row_number=g.first_row_number)
        case "whole_file":
            return WholeFile()
        case "report_window":
            w = interval_of(message.report_window.window)
            return ReportWindow(
                report=message.report_window.report, start_time=w.start, end_time=w.end
            )
        case _:
            raise ValueError("found no part; give a chunk of PlanChunks as it was")


def task_of(request: ingest_service_pb2.IngestChunkRequest) -> Task:
    """Read one try of one chunk. Raises InvalidRequest naming every wrong field."""
    with Reading() as read:
        run = read("run", RunName.parse, request.run)
        read("source", _source, request)
        contract = read("source.contract", contract_of(request.columns), request.source.contract)
        chunk = read("chunk", chunk_of_message, request.chunk)
        columns = read("columns", columns_of, list(request.columns))
        rules = read("row_rules", lambda rules: tuple(_rule(x) for x in rules), request.row_rules)
        deadline = read("deadline", moment, request.deadline)
        ingest_time = read("ingest_time", moment, request.ingest_time)
        for field in ("run_attempt", "chunk_attempt"):
            read(field, _from_one, getattr(request, field))
        if run is not None:
            for field in ("table", "quarantine_table"):
                read(field, _table_of(run.tenant), getattr(request, field))
    with Reading() as read:
        columns = read("source", lambda texts: reading_of(columns, texts), request.source.texts)
    with Reading() as read:
        named = {column.name: column for column in (*columns, *LINEAGE_COLUMNS)}
        read("scope", _scope(named), request.scope)
        read("key_columns", _known(named), request.key_columns)
        read("row_rules", lambda rules: row_rules(rules, tuple(named.values())), rules)
    return Task(
        tenant=run.tenant,
        pipeline=run.pipeline,
        run=run.run,
        chunk=chunk,
        chunk_attempt=request.chunk_attempt,
        columns=columns,
        scope=tuple((scope.column, tuple(scope.values)) for scope in request.scope),
        key_columns=tuple(request.key_columns),
        rules=rules,
        table=request.table,
        quarantine_table=request.quarantine_table,
        staging=request.staging,
        snapshot=request.snapshot,
        ingest_time=ingest_time,
        deadline=deadline,
        contract=contract,
    )


def parts_of(source: source_pb2.Source) -> tuple[str, ...]:
    """Return which parts a source's chunks have; raise ValueError for a source of no kind."""
    match source.WhichOneof("kind"):
        case "file":
            own = {
                source_pb2.FILE_FORMAT_PARQUET: ("row_groups",),
                source_pb2.FILE_FORMAT_JSON: ("whole_file",),
            }
            return own.get(source.file.format, ("byte_range", "whole_file"))
        case "openai":
            return ("report_window",)
        case _:
            raise ValueError("found no kind; allowed are file and openai")


def _source(request: ingest_service_pb2.IngestChunkRequest) -> None:
    """Raise ValueError for a chunk that cannot be one of the source's."""
    wanted, part = parts_of(request.source), request.chunk.WhichOneof("part")
    if part is not None and part not in wanted:
        shown = " or ".join(wanted)
        raise ValueError(f"found a chunk of {part}; allowed is {shown} for this source")
    report = request.chunk.report_window.report
    if part == "report_window" and report not in request.source.openai.reports:
        raise ValueError(f"found a chunk of {report!r}; allowed are the reports of the source")


def _from_one(number: int) -> int:
    if number < 1:
        raise ValueError(f"found {number}; allowed is 1 or more")
    return number


def _table_of(tenant: str) -> Callable[[str], str]:
    def read(table: str) -> str:
        _, _, last = parts = table.split(".") if table.count(".") == 2 else ("", "", "")
        if not last or not parts[1].startswith(f"{tenant}_"):
            raise ValueError(f"found {table!r}; allowed is project.{tenant}_dataset.table")
        return table

    return read


def _known(columns: Mapping[str, TargetColumn]) -> Callable[[Iterable[str]], None]:
    def read(names: Iterable[str]) -> None:
        if unknown := [name for name in names if name not in columns]:
            raise ValueError(f"found {', '.join(unknown)}; allowed are the table's columns")

    return read


def _scope(
    columns: Mapping[str, TargetColumn],
) -> Callable[[Sequence[ingest_service_pb2.ScopeColumn]], None]:
    def read(scope: Sequence[ingest_service_pb2.ScopeColumn]) -> None:
        _known(columns)(part.column for part in scope)
        named = [part.column for part in scope]
        if len(set(named)) < len(named):
            raise ValueError(f"found {', '.join(named)}; allowed is each column once")
        if several := [part.column for part in scope[1:] if len(part.values) != 1]:
            raise ValueError(
                f"found {', '.join(several)} with several values or none; allowed is one value for "
                "each column after the first"
            )

    return read


def _rule(message: suite_pb2.RowRule) -> Rule:
    which = message.WhichOneof("predicate")
    if which is None:
        raise ValueError(f"rule {message.rule_id} has no predicate that this worker knows")
    predicate = getattr(message, which)
    fields = predicate.DESCRIPTOR.fields_by_name
    names = ("column_a", "column_b") if "column_a" in fields else ("column",)
    bounds = predicate.range if "range" in fields else suite_pb2.Range()
    return Rule(
        rule_id=message.rule_id,
        expectation_type=message.expectation_type,
        predicate=Predicate(which),
        columns=tuple(getattr(predicate, name) for name in names),
        quarantines=message.quarantines,
        values=tuple(predicate.values) if "values" in fields else (),
        min_value=bounds.min_value if bounds.HasField("min_value") else None,
        max_value=bounds.max_value if bounds.HasField("max_value") else None,
        strict_min=bounds.strict_min,
        strict_max=bounds.strict_max,
        regex=predicate.regex if "regex" in fields else "",
        or_equal=predicate.or_equal if "or_equal" in fields else False,
        ignore=IGNORES[predicate.ignore] if "ignore" in fields else Ignore.BOTH_MISSING,
    )
