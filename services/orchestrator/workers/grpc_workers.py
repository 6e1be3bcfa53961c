"""Workers over gRPC: one channel a worker, no retries here."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Generator
from datetime import datetime
from decimal import Decimal
from typing import Final

import grpc
from convergence.common.v1 import failure_pb2
from convergence.ingest.v1 import (
    chunk_pb2,
    ingest_service_pb2,
    ingest_service_pb2_grpc,
    source_pb2,
)
from convergence.quality.v1 import suite_pb2
from google.protobuf import json_format, timestamp_pb2

from libs.common.channel import from_status
from libs.common.errors import Unavailable
from libs.common.names import PipelineName, RunName
from services.orchestrator.runs import records as r
from services.orchestrator.runs.reasons import Kind
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import FileOptions, PipelineSpec
from services.orchestrator.tokens.tokens import Tokens
from services.orchestrator.workers.workers import (
    Assignment,
    Beat,
    ChunkFailed,
    Planned,
    SourceTooLarge,
    WorkerGone,
)

PLAN_SECONDS: Final = 600.0
"""How long a plan may take: a worker looks through every byte of the source for it."""

LAST: Final = frozenset({"result", "failure"})
"""Events after which a worker ends the call."""

END_SECONDS: Final = 1.0
"""How long such an event waits for that end."""

PASSING: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INTERNAL})
"""Codes of a call that may end differently: a token that has just ended, a bug that another worker may not meet."""

REFUSALS: Final = frozenset({"WORKER_FULL", "WORKER_DRAINING"})
EPOCHS: Final = {
    "seconds": source_pb2.EPOCH_UNIT_SECONDS,
    "millis": source_pb2.EPOCH_UNIT_MILLIS,
    "micros": source_pb2.EPOCH_UNIT_MICROS,
}
FORMATS: Final = {
    "csv": source_pb2.FILE_FORMAT_CSV,
    "ndjson": source_pb2.FILE_FORMAT_NDJSON,
    "json": source_pb2.FILE_FORMAT_JSON,
    "parquet": source_pb2.FILE_FORMAT_PARQUET,
}


COMPRESSIONS: Final = {
    None: source_pb2.COMPRESSION_UNSPECIFIED,
    "none": source_pb2.COMPRESSION_NONE,
    "gzip": source_pb2.COMPRESSION_GZIP,
    "zstd": source_pb2.COMPRESSION_ZSTD,
}
ENCODINGS: Final = {
    None: source_pb2.TEXT_ENCODING_UNSPECIFIED,
    "utf-8": source_pb2.TEXT_ENCODING_UTF_8,
    "utf-16": source_pb2.TEXT_ENCODING_UTF_16,
    "latin-1": source_pb2.TEXT_ENCODING_LATIN_1,
}
MANIFESTS: Final = {
    None: source_pb2.MANIFEST_KIND_UNSPECIFIED,
    "aws": source_pb2.MANIFEST_KIND_AWS,
    "azure": source_pb2.MANIFEST_KIND_AZURE,
}


CONTRACT_MODES: Final = {
    "evolve": source_pb2.CONTRACT_MODE_EVOLVE,
    "freeze": source_pb2.CONTRACT_MODE_FREEZE,
    "discard_row": source_pb2.CONTRACT_MODE_DISCARD_ROW,
    "discard_value": source_pb2.CONTRACT_MODE_DISCARD_VALUE,
}


class GrpcWorker:
    """One worker at one address."""

    def __init__(
        self,
        address: str,
        channel: grpc.aio.Channel,
        tokens: Tokens,
        *,
        plan_seconds: float = PLAN_SECONDS,
    ) -> None:
        self._address = address
        self._plan_seconds = plan_seconds
        self._stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        self._tokens = tokens
        self._calls: set[grpc.aio.Call] = set()
        self._left = False

    @property
    def address(self) -> str:
        return self._address

    async def plan(
        self, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
    ) -> Planned:
        request = ingest_service_pb2.PlanChunksRequest(
            parent=str(parent),
            source=_source(spec),
            columns=_columns(spec),
            window=_interval(window),
            chunk_bytes=spec.limits.chunk_bytes,
            spec_hash=spec.spec_hash,
        )
        metadata = await self._tokens.metadata(parent)
        call = self._stub.PlanChunks(request, metadata=metadata, timeout=self._plan_seconds)
        try:
            with self._under_way(call):
                response = await call
        except WorkerGone as error:
            raise Unavailable(str(error), reason="NO_WORKER") from error
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._too_slow(spec) from error
            raise from_status(error) from error
        return Planned(
            chunks=tuple(_chunk(chunk) for chunk in response.chunks),
            extra_columns=tuple(response.extra_columns),
            evolved_columns=tuple((c.name, c.type) for c in response.evolved_columns),
            deliveries=tuple(response.deliveries),
        )

    def _too_slow(self, spec: PipelineSpec) -> SourceTooLarge:
        return SourceTooLarge(
            f"planning {spec.source.source_id} took longer than {self._plan_seconds:g} s: narrow "
            "the source, or deliver it in smaller parts; where it is small, look at worker "
            f"{self._address}",
            source=spec.source.source_id,
        )

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        metadata = await self._tokens.metadata(assignment.run)
        call = self._stub.IngestChunk(_request(assignment), metadata=metadata)
        try:
            with self._under_way(call):
                async for response in call:
                    if response.WhichOneof("event") in LAST:
                        await _end(call)
                    yield _event(assignment, response)
        except grpc.aio.AioRpcError as error:
            raise gone(self._address, error) from error

    def leave(self) -> None:
        """Take the worker for gone: its calls end at once, with WorkerGone or, for a plan, Unavailable."""
        self._left = True
        for call in tuple(self._calls):
            call.cancel()

    @contextlib.contextmanager
    def _under_way(self, call: grpc.aio.Call) -> Generator[None]:
        """End `call` with the block. Raises WorkerGone where `leave` has ended it, and nobody else."""
        self._calls.add(call)
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._left or (task is not None and task.cancelling()):
                raise
            raise WorkerGone(f"worker {self._address} is gone", refused=False) from None
        finally:
            self._calls.discard(call)
            call.cancel()


async def _end(call: grpc.aio.Call) -> None:
    """Wait a moment until the worker has ended a call: cancelled before, it would count as that there."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            await call.code()


def gone(address: str, error: grpc.aio.AioRpcError) -> WorkerGone | ChunkFailed:
    """Return what the end of a call without a result means."""
    with_reason = from_status(error)
    if isinstance(with_reason, Unavailable):
        refused = with_reason.reason in REFUSALS
        return WorkerGone(f"worker {address}: {error.details()}", refused=refused)
    failure = r.Failure(
        kind="platform",
        reason=with_reason.reason or "INTERNAL",
        message=f"worker {address}: {error.details()}",
        advice="give the run's name and trace id to the platform's operator",
    )
    return ChunkFailed(failure, transient=error.code() in PASSING)


def _source(spec: PipelineSpec, *, requests_per_minute: float = 0.0) -> source_pb2.Source:
    texts = spec.source.texts
    source = source_pb2.Source(
        source_id=spec.source.source_id,
        secret=spec.source.secret or "",
        texts=source_pb2.Texts(
            epochs={column: EPOCHS[unit] for column, unit in texts.epochs},
            truncate_fractions=texts.truncate_fractions,
        ),
        contract=source_pb2.Contract(
            columns=CONTRACT_MODES[spec.source.contract.columns],
            types=CONTRACT_MODES[spec.source.contract.types],
        ),
    )
    options = spec.source.options
    if isinstance(options, FileOptions):
        source.file.CopyFrom(
            source_pb2.FileSource(
                path=options.path,
                format=FORMATS[options.format],
                null_values=options.null_values,
                delimiter=options.delimiter,
                quote=options.quote,
                records=options.records,
                parent_fields=options.parent_fields,
                compression=COMPRESSIONS[options.compression],
                encoding=ENCODINGS[options.encoding],
                manifest=MANIFESTS[options.manifest],
                region=options.region,
                endpoint=options.endpoint,
            )
        )
        return source
    source.openai.CopyFrom(
        source_pb2.OpenAiSource(
            base_url=options.base_url,
            reports=options.reports,
            usage_group_by=options.usage_group_by,
            costs_group_by=options.costs_group_by,
            requests_per_minute=requests_per_minute,
        )
    )
    return source


def _columns(spec: PipelineSpec) -> list[ingest_service_pb2.Column]:
    return [ingest_service_pb2.Column(name=c.name, type=c.type, mode=c.mode) for c in spec.columns]


def _interval(window: Window | None) -> source_pb2.Interval | None:
    if window is None:
        return None
    return source_pb2.Interval(start_time=_time(window.start), end_time=_time(window.end))


def _time(moment: datetime) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _chunk(chunk: chunk_pb2.Chunk) -> r.Chunk:
    return r.Chunk(
        chunk_id=chunk.chunk_id,
        input_id=chunk.input.input_id,
        content_hash=chunk.input.content_hash,
        estimated_bytes=chunk.estimated_bytes,
        expected_row_count=(
            chunk.expected_row_count if chunk.HasField("expected_row_count") else None
        ),
        delivery=chunk.input.delivery,
        message=json_format.MessageToJson(chunk, indent=None),
    )


def _request(a: Assignment) -> ingest_service_pb2.IngestChunkRequest:
    keys = [*a.spec.write.key, *([a.spec.write.version] if a.spec.write.version else [])]
    return ingest_service_pb2.IngestChunkRequest(
        run=str(a.run),
        run_attempt=a.run_attempt,
        chunk_attempt=a.chunk_attempt,
        epoch=a.epoch,
        source=_source(a.spec, requests_per_minute=a.requests_per_minute),
        chunk=json_format.Parse(a.chunk.message, chunk_pb2.Chunk()),
        columns=_columns(a.spec),
        scope=[
            ingest_service_pb2.ScopeColumn(column=column, values=values)
            for column, values in a.scope
        ],
        key_columns=keys,
        row_rules=_suite(a.suite).row_rules,
        table=a.table,
        quarantine_table=a.quarantine_table,
        staging=a.staging,
        snapshot=a.snapshot,
        ingest_time=_time(a.ingest_time),
        deadline=_time(a.deadline),
    )


@functools.lru_cache(8)
def _suite(text: str) -> suite_pb2.CompiledSuite:
    """Read the suite that all chunks of a run have; one of the last few is not read again."""
    suite = suite_pb2.CompiledSuite()
    return json_format.Parse(text, suite) if text else suite


def _event(a: Assignment, response: ingest_service_pb2.IngestChunkResponse) -> Beat | r.Landed:
    match response.WhichOneof("event"):
        case "accepted":
            return Beat(slot_count=response.accepted.slot_count)
        case "result":
            return _landed(a, response.result)
        case "failure":
            raise ChunkFailed(
                _failure(response.failure.failure),
                transient=response.failure.transient,
                retry_after=response.failure.retry_delay.ToTimedelta().total_seconds(),
            )
        case _:
            progress = response.progress
            return Beat(
                row_count=progress.row_count,
                read_bytes=progress.read_bytes,
                throttled=progress.throttled,
            )


KINDS: Final[dict[int, Kind]] = {
    failure_pb2.FAILURE_KIND_CONFIG: "config",
    failure_pb2.FAILURE_KIND_SOURCE: "source",
    failure_pb2.FAILURE_KIND_DATA: "data",
    failure_pb2.FAILURE_KIND_QUOTA: "quota",
}


def _failure(failure: failure_pb2.Failure) -> r.Failure:
    return r.Failure(
        kind=KINDS.get(failure.kind, "platform"),
        reason=failure.reason,
        message=failure.message,
        advice=failure.advice,
        metadata=dict(failure.metadata),
    )


def _landed(a: Assignment, result: ingest_service_pb2.ChunkResult) -> r.Landed:
    return r.Landed(
        chunk_id=a.chunk.chunk_id,
        chunk_attempt=a.chunk_attempt,
        stream=result.stream,
        quarantine_stream=result.quarantine_stream,
        read_row_count=result.read_row_count,
        landed_row_count=result.landed_row_count,
        quarantined_row_count=result.quarantined_row_count,
        read_bytes=result.read_bytes,
        money=tuple(
            r.Money(
                column=money.column,
                read=Decimal(money.read),
                landed=Decimal(money.landed),
                quarantined=Decimal(money.quarantined),
                unparsable_count=money.unparsable_count,
                quarantined_row_count=money.quarantined_row_count,
            )
            for money in result.money
        ),
        metrics=tuple(
            r.Metric(
                rule_id=metric.rule_id,
                element_count=metric.element_count,
                missing_count=metric.missing_count,
                unexpected_count=metric.unexpected_count,
                samples=tuple(metric.unexpected_samples),
            )
            for metric in result.row_metrics
        ),
        scope_counts=tuple(
            r.ScopeCount(values=tuple(count.values), row_count=count.row_count)
            for count in result.scope_counts
        ),
        coerced_cell_count=sum(coercion.cell_count for coercion in result.coercions),
        variants=tuple(result.variant_columns),
    )
