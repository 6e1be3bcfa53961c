import datetime

from convergence.common.v1 import failure_pb2 as _failure_pb2
from convergence.ingest.v1 import chunk_pb2 as _chunk_pb2
from convergence.ingest.v1 import source_pb2 as _source_pb2
from convergence.quality.v1 import suite_pb2 as _suite_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Column(_message.Message):
    __slots__ = ("name", "type", "mode")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    mode: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., mode: _Optional[str] = ...) -> None: ...

class ScopeColumn(_message.Message):
    __slots__ = ("column", "values")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    column: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, column: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class PlanChunksRequest(_message.Message):
    __slots__ = ("parent", "source", "columns", "window", "chunk_bytes", "spec_hash")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    parent: str
    source: _source_pb2.Source
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    window: _source_pb2.Interval
    chunk_bytes: int
    spec_hash: str
    def __init__(self, parent: _Optional[str] = ..., source: _Optional[_Union[_source_pb2.Source, _Mapping]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., window: _Optional[_Union[_source_pb2.Interval, _Mapping]] = ..., chunk_bytes: _Optional[int] = ..., spec_hash: _Optional[str] = ...) -> None: ...

class PlanChunksResponse(_message.Message):
    __slots__ = ("chunks", "extra_columns", "evolved_columns", "deliveries")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    EXTRA_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    EVOLVED_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Chunk]
    extra_columns: _containers.RepeatedScalarFieldContainer[str]
    evolved_columns: _containers.RepeatedCompositeFieldContainer[Column]
    deliveries: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, chunks: _Optional[_Iterable[_Union[_chunk_pb2.Chunk, _Mapping]]] = ..., extra_columns: _Optional[_Iterable[str]] = ..., evolved_columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., deliveries: _Optional[_Iterable[str]] = ...) -> None: ...

class IngestChunkRequest(_message.Message):
    __slots__ = ("run", "run_attempt", "chunk_attempt", "epoch", "source", "chunk", "columns", "scope", "key_columns", "row_rules", "table", "quarantine_table", "staging", "snapshot", "ingest_time", "deadline")
    RUN_FIELD_NUMBER: _ClassVar[int]
    RUN_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    KEY_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROW_RULES_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_TABLE_FIELD_NUMBER: _ClassVar[int]
    STAGING_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    INGEST_TIME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    run: str
    run_attempt: int
    chunk_attempt: int
    epoch: int
    source: _source_pb2.Source
    chunk: _chunk_pb2.Chunk
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    scope: _containers.RepeatedCompositeFieldContainer[ScopeColumn]
    key_columns: _containers.RepeatedScalarFieldContainer[str]
    row_rules: _containers.RepeatedCompositeFieldContainer[_suite_pb2.RowRule]
    table: str
    quarantine_table: str
    staging: bool
    snapshot: int
    ingest_time: _timestamp_pb2.Timestamp
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, run: _Optional[str] = ..., run_attempt: _Optional[int] = ..., chunk_attempt: _Optional[int] = ..., epoch: _Optional[int] = ..., source: _Optional[_Union[_source_pb2.Source, _Mapping]] = ..., chunk: _Optional[_Union[_chunk_pb2.Chunk, _Mapping]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., scope: _Optional[_Iterable[_Union[ScopeColumn, _Mapping]]] = ..., key_columns: _Optional[_Iterable[str]] = ..., row_rules: _Optional[_Iterable[_Union[_suite_pb2.RowRule, _Mapping]]] = ..., table: _Optional[str] = ..., quarantine_table: _Optional[str] = ..., staging: _Optional[bool] = ..., snapshot: _Optional[int] = ..., ingest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class IngestChunkResponse(_message.Message):
    __slots__ = ("accepted", "progress", "result", "failure")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    accepted: Accepted
    progress: Progress
    result: ChunkResult
    failure: ChunkFailure
    def __init__(self, accepted: _Optional[_Union[Accepted, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., result: _Optional[_Union[ChunkResult, _Mapping]] = ..., failure: _Optional[_Union[ChunkFailure, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("slot_count", "busy_slot_count")
    SLOT_COUNT_FIELD_NUMBER: _ClassVar[int]
    BUSY_SLOT_COUNT_FIELD_NUMBER: _ClassVar[int]
    slot_count: int
    busy_slot_count: int
    def __init__(self, slot_count: _Optional[int] = ..., busy_slot_count: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("row_count", "read_bytes", "throttled")
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    THROTTLED_FIELD_NUMBER: _ClassVar[int]
    row_count: int
    read_bytes: int
    throttled: bool
    def __init__(self, row_count: _Optional[int] = ..., read_bytes: _Optional[int] = ..., throttled: _Optional[bool] = ...) -> None: ...

class ChunkResult(_message.Message):
    __slots__ = ("stream", "quarantine_stream", "read_row_count", "landed_row_count", "quarantined_row_count", "read_bytes", "money", "row_metrics", "scope_counts", "coercions", "quarantine_counts", "variant_columns")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_STREAM_FIELD_NUMBER: _ClassVar[int]
    READ_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    LANDED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    MONEY_FIELD_NUMBER: _ClassVar[int]
    ROW_METRICS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    COERCIONS_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    VARIANT_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    stream: str
    quarantine_stream: str
    read_row_count: int
    landed_row_count: int
    quarantined_row_count: int
    read_bytes: int
    money: _containers.RepeatedCompositeFieldContainer[MoneySum]
    row_metrics: _containers.RepeatedCompositeFieldContainer[_suite_pb2.RowRuleMetric]
    scope_counts: _containers.RepeatedCompositeFieldContainer[ScopeCount]
    coercions: _containers.RepeatedCompositeFieldContainer[Coercion]
    quarantine_counts: _containers.RepeatedCompositeFieldContainer[QuarantineCount]
    variant_columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, stream: _Optional[str] = ..., quarantine_stream: _Optional[str] = ..., read_row_count: _Optional[int] = ..., landed_row_count: _Optional[int] = ..., quarantined_row_count: _Optional[int] = ..., read_bytes: _Optional[int] = ..., money: _Optional[_Iterable[_Union[MoneySum, _Mapping]]] = ..., row_metrics: _Optional[_Iterable[_Union[_suite_pb2.RowRuleMetric, _Mapping]]] = ..., scope_counts: _Optional[_Iterable[_Union[ScopeCount, _Mapping]]] = ..., coercions: _Optional[_Iterable[_Union[Coercion, _Mapping]]] = ..., quarantine_counts: _Optional[_Iterable[_Union[QuarantineCount, _Mapping]]] = ..., variant_columns: _Optional[_Iterable[str]] = ...) -> None: ...

class MoneySum(_message.Message):
    __slots__ = ("column", "read", "landed", "quarantined", "unparsable_count", "quarantined_row_count")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    LANDED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    UNPARSABLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    column: str
    read: str
    landed: str
    quarantined: str
    unparsable_count: int
    quarantined_row_count: int
    def __init__(self, column: _Optional[str] = ..., read: _Optional[str] = ..., landed: _Optional[str] = ..., quarantined: _Optional[str] = ..., unparsable_count: _Optional[int] = ..., quarantined_row_count: _Optional[int] = ...) -> None: ...

class ScopeCount(_message.Message):
    __slots__ = ("values", "row_count")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    row_count: int
    def __init__(self, values: _Optional[_Iterable[str]] = ..., row_count: _Optional[int] = ...) -> None: ...

class Coercion(_message.Message):
    __slots__ = ("column", "kind", "cell_count")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CELL_COUNT_FIELD_NUMBER: _ClassVar[int]
    column: str
    kind: str
    cell_count: int
    def __init__(self, column: _Optional[str] = ..., kind: _Optional[str] = ..., cell_count: _Optional[int] = ...) -> None: ...

class QuarantineCount(_message.Message):
    __slots__ = ("reason", "column", "row_count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    column: str
    row_count: int
    def __init__(self, reason: _Optional[str] = ..., column: _Optional[str] = ..., row_count: _Optional[int] = ...) -> None: ...

class ChunkFailure(_message.Message):
    __slots__ = ("failure", "transient", "retry_delay")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    TRANSIENT_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    transient: bool
    retry_delay: _duration_pb2.Duration
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., transient: _Optional[bool] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
