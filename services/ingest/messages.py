"""Messages to values and back."""

import datetime as dt
from decimal import Decimal
from typing import Final

from convergence.common.v1 import failure_pb2
from convergence.ingest.v1 import chunk_pb2, ingest_service_pb2, source_pb2
from convergence.quality.v1 import suite_pb2
from google.protobuf import duration_pb2, timestamp_pb2

from libs.common.names import PipelineName, RunName
from libs.common.parse import Reading, moment
from services.ingest.chunks import ByteRange, Chunk, Input, Part, ReportWindow, RowGroups
from services.ingest.columns import TargetColumn
from services.ingest.failures import Failed
from services.ingest.ingestion import Tally, Task
from services.ingest.rules import Ignore, Predicate, Rule
from services.ingest.sources.source import Interval

IGNORES: Final = {
    suite_pb2.IGNORE_ROW_IF_UNSPECIFIED: Ignore.BOTH_MISSING,
    suite_pb2.IGNORE_ROW_IF_BOTH_VALUES_ARE_MISSING: Ignore.BOTH_MISSING,
    suite_pb2.IGNORE_ROW_IF_EITHER_VALUE_IS_MISSING: Ignore.EITHER_MISSING,
    suite_pb2.IGNORE_ROW_IF_NEITHER: Ignore.NONE,
}


def parent_of(text: str) -> PipelineName | RunName:
    """Read a pipeline or a run below it."""
    return RunName.parse(text) if "/runs/" in text else PipelineName.parse(text)


def columns_of(columns: list[ingest_service_pb2.Column]) -> tuple[TargetColumn, ...]:
    """Read the schema's columns; raise ValueError for none or one that cannot be cast to."""
    if not columns:
        raise ValueError("found none; give the schema's columns")
    return tuple(TargetColumn.parse(c.name, c.type, c.mode) for c in columns)


def interval_of(message: source_pb2.Interval) -> Interval:
    """Read a time span; its end is after its start."""
    made = Interval(start=moment(message.start_time), end=moment(message.end_time))
    if made.end <= made.start:
        raise ValueError(f"found {made.start} to {made.end}; allowed is an end after the start")
    return made


def chunk_message(chunk: Chunk) -> chunk_pb2.Chunk:
    """Return a chunk as message."""
    message = chunk_pb2.Chunk(
        chunk_id=chunk.chunk_id,
        input=chunk_pb2.Input(
            input_id=chunk.input.input_id,
            content_hash=chunk.input.content_hash,
            size_bytes=chunk.input.size_bytes,
            change_time_nanos=chunk.input.change_time_nanos,
        ),
        estimated_bytes=chunk.estimated_bytes,
        expected_row_count=chunk.expected_row_count,
    )
    match chunk.part:
        case ByteRange(start=start, end=end, first_row_number=first, header=header):
            message.byte_range.CopyFrom(
                chunk_pb2.ByteRange(start=start, end=end, first_row_number=first, header=header)
            )
        case RowGroups(start=start, end=end, first_row_number=first):
            message.row_groups.CopyFrom(
                chunk_pb2.RowGroups(start=start, end=end, first_row_number=first)
            )
        case ReportWindow(report=report, start_time=begin, end_time=until):
            window = source_pb2.Interval(start_time=stamp(begin), end_time=stamp(until))
            message.report_window.CopyFrom(chunk_pb2.ReportWindow(report=report, window=window))
    return message


def stamp(value: dt.datetime) -> timestamp_pb2.Timestamp:
    """Return a moment as message."""
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(value)
    return message


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
        chunk = read("chunk", chunk_of_message, request.chunk)
        columns = read("columns", columns_of, list(request.columns))
        rules = read("row_rules", lambda rules: tuple(_rule(x) for x in rules), request.row_rules)
        deadline = read("deadline", moment, request.deadline)
        ingest_time = read("ingest_time", moment, request.ingest_time)
        for field in ("table", "quarantine_table"):
            if getattr(request, field).count(".") != 2:
                read.refuse(field, "allowed is project.dataset.table")
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
    )


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


def result_message(tally: Tally) -> ingest_service_pb2.ChunkResult:
    """Return what a finished chunk holds."""
    pb = ingest_service_pb2
    return pb.ChunkResult(
        stream=tally.stream,
        quarantine_stream=tally.quarantine_stream,
        read_row_count=tally.read_row_count,
        landed_row_count=tally.landed_row_count,
        quarantined_row_count=tally.quarantined_row_count,
        read_bytes=tally.read_bytes,
        money=[
            pb.MoneySum(
                column=money.column,
                read=_text(money.read),
                landed=_text(money.landed),
                quarantined=_text(money.quarantined),
                unparsable_count=money.unparsable_count,
            )
            for money in tally.money.values()
        ],
        row_metrics=[
            suite_pb2.RowRuleMetric(
                rule_id=rule_id,
                element_count=rule.element_count,
                missing_count=rule.missing_count,
                unexpected_count=rule.unexpected_count,
                unexpected_samples=list(rule.samples),
            )
            for rule_id, rule in tally.rules.items()
        ],
        scope_counts=[
            pb.ScopeCount(values=[value], row_count=count)
            for value, count in sorted(tally.scope_counts.items())
        ],
        coercions=[
            pb.Coercion(column=column, kind=kind, cell_count=count)
            for (column, kind), count in sorted(tally.coerced.items())
        ],
        quarantine_counts=[
            pb.QuarantineCount(reason=reason, column=column, row_count=count)
            for (reason, column), count in sorted(tally.quarantine_counts.items())
        ],
    )


def _text(amount: Decimal) -> str:
    return f"{amount:f}"


def failure_message(failed: Failed) -> ingest_service_pb2.ChunkFailure:
    """Return why a chunk failed."""
    message = ingest_service_pb2.ChunkFailure(
        failure=failure_pb2.Failure(
            kind=f"FAILURE_KIND_{failed.kind.upper()}",
            reason=failed.reason,
            message=failed.message,
            advice=failed.advice,
            data_safe=True,
            metadata=failed.metadata,
        ),
        transient=failed.transient,
    )
    if failed.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(failed.retry_after * 1e9))
        message.retry_delay.CopyFrom(delay)
    return message
