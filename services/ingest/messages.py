"""Values to messages."""

import datetime as dt

from convergence.common.v1 import failure_pb2
from convergence.ingest.v1 import chunk_pb2, ingest_service_pb2, source_pb2
from convergence.quality.v1 import suite_pb2
from google.protobuf import duration_pb2, timestamp_pb2

from libs.common.money import plain
from services.ingest.chunks import ByteRange, Chunk, ReportWindow, RowGroups, WholeFile
from services.ingest.columns import TargetColumn
from services.ingest.failures import Failed
from services.ingest.ingestion import Tally


def chunk_message(chunk: Chunk) -> chunk_pb2.Chunk:
    """Return a chunk as message."""
    message = chunk_pb2.Chunk(
        chunk_id=chunk.chunk_id,
        input=chunk_pb2.Input(
            input_id=chunk.input.input_id,
            content_hash=chunk.input.content_hash,
            size_bytes=chunk.input.size_bytes,
            change_time_nanos=chunk.input.change_time_nanos,
            version=chunk.input.version,
            delivery=chunk.input.delivery,
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
        case WholeFile():
            message.whole_file.SetInParent()
        case ReportWindow(report=report, start_time=begin, end_time=until):
            window = source_pb2.Interval(start_time=stamp(begin), end_time=stamp(until))
            message.report_window.CopyFrom(chunk_pb2.ReportWindow(report=report, window=window))
    return message


def column_message(column: TargetColumn) -> ingest_service_pb2.Column:
    """Return a column as message."""
    return ingest_service_pb2.Column(name=column.name, type=column.declared, mode=column.mode)


def stamp(value: dt.datetime) -> timestamp_pb2.Timestamp:
    """Return a moment as message."""
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(value)
    return message


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
                read=plain(money.read),
                landed=plain(money.landed),
                quarantined=plain(money.quarantined),
                unparsable_count=money.unparsable_count,
                quarantined_row_count=money.quarantined_row_count,
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
        variant_columns=list(tally.variants),
    )


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
