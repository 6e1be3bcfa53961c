import datetime

from convergence.common.v1 import failure_pb2 as _failure_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATE_UNSPECIFIED: _ClassVar[RunState]
    RUN_STATE_PENDING: _ClassVar[RunState]
    RUN_STATE_PLANNING: _ClassVar[RunState]
    RUN_STATE_INGESTING: _ClassVar[RunState]
    RUN_STATE_AUDITING: _ClassVar[RunState]
    RUN_STATE_HELD: _ClassVar[RunState]
    RUN_STATE_PUBLISHING: _ClassVar[RunState]
    RUN_STATE_TRANSFORMING: _ClassVar[RunState]
    RUN_STATE_SUCCEEDED: _ClassVar[RunState]
    RUN_STATE_FAILED: _ClassVar[RunState]
    RUN_STATE_TRANSFORM_FAILED: _ClassVar[RunState]
    RUN_STATE_CANCELLING: _ClassVar[RunState]
    RUN_STATE_CANCELLED: _ClassVar[RunState]
    RUN_STATE_SUPERSEDED: _ClassVar[RunState]

class RunLane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_LANE_UNSPECIFIED: _ClassVar[RunLane]
    RUN_LANE_INTERACTIVE: _ClassVar[RunLane]
    RUN_LANE_SCHEDULED: _ClassVar[RunLane]
    RUN_LANE_BACKFILL: _ClassVar[RunLane]

class RunLimit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_LIMIT_UNSPECIFIED: _ClassVar[RunLimit]
    RUN_LIMIT_LIVE_RUNS: _ClassVar[RunLimit]
    RUN_LIMIT_READ_BYTES: _ClassVar[RunLimit]
RUN_STATE_UNSPECIFIED: RunState
RUN_STATE_PENDING: RunState
RUN_STATE_PLANNING: RunState
RUN_STATE_INGESTING: RunState
RUN_STATE_AUDITING: RunState
RUN_STATE_HELD: RunState
RUN_STATE_PUBLISHING: RunState
RUN_STATE_TRANSFORMING: RunState
RUN_STATE_SUCCEEDED: RunState
RUN_STATE_FAILED: RunState
RUN_STATE_TRANSFORM_FAILED: RunState
RUN_STATE_CANCELLING: RunState
RUN_STATE_CANCELLED: RunState
RUN_STATE_SUPERSEDED: RunState
RUN_LANE_UNSPECIFIED: RunLane
RUN_LANE_INTERACTIVE: RunLane
RUN_LANE_SCHEDULED: RunLane
RUN_LANE_BACKFILL: RunLane
RUN_LIMIT_UNSPECIFIED: RunLimit
RUN_LIMIT_LIVE_RUNS: RunLimit
RUN_LIMIT_READ_BYTES: RunLimit

class Run(_message.Message):
    __slots__ = ("name", "state", "attempt", "spec_hash", "window", "scope", "create_time", "update_time", "end_time", "progress", "failure", "hold_reasons", "hold_expire_time", "receipt", "trace_id", "position", "created_by", "cancel_reason", "lane", "backfill", "wait", "fire_time", "waits_for", "wait_expire_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    HOLD_REASONS_FIELD_NUMBER: _ClassVar[int]
    HOLD_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    WAIT_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: RunState
    attempt: int
    spec_hash: str
    window: Window
    scope: _containers.RepeatedCompositeFieldContainer[ScopeValues]
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    progress: RunProgress
    failure: _failure_pb2.Failure
    hold_reasons: _containers.RepeatedScalarFieldContainer[str]
    hold_expire_time: _timestamp_pb2.Timestamp
    receipt: Receipt
    trace_id: str
    position: int
    created_by: str
    cancel_reason: str
    lane: RunLane
    backfill: str
    wait: RunWait
    fire_time: _timestamp_pb2.Timestamp
    waits_for: _containers.RepeatedScalarFieldContainer[str]
    wait_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[RunState, str]] = ..., attempt: _Optional[int] = ..., spec_hash: _Optional[str] = ..., window: _Optional[_Union[Window, _Mapping]] = ..., scope: _Optional[_Iterable[_Union[ScopeValues, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress: _Optional[_Union[RunProgress, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., hold_reasons: _Optional[_Iterable[str]] = ..., hold_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., trace_id: _Optional[str] = ..., position: _Optional[int] = ..., created_by: _Optional[str] = ..., cancel_reason: _Optional[str] = ..., lane: _Optional[_Union[RunLane, str]] = ..., backfill: _Optional[str] = ..., wait: _Optional[_Union[RunWait, _Mapping]] = ..., fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waits_for: _Optional[_Iterable[str]] = ..., wait_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RunWait(_message.Message):
    __slots__ = ("limit", "message", "ahead_run_count", "until_time")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    AHEAD_RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    limit: RunLimit
    message: str
    ahead_run_count: int
    until_time: _timestamp_pb2.Timestamp
    def __init__(self, limit: _Optional[_Union[RunLimit, str]] = ..., message: _Optional[str] = ..., ahead_run_count: _Optional[int] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("start_time", "end_time", "deliveries")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    deliveries: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deliveries: _Optional[_Iterable[str]] = ...) -> None: ...

class ScopeValues(_message.Message):
    __slots__ = ("column", "values")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    column: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, column: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class RunProgress(_message.Message):
    __slots__ = ("chunk_count", "done_chunk_count", "running_chunk_count", "row_count", "read_bytes")
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    DONE_CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    chunk_count: int
    done_chunk_count: int
    running_chunk_count: int
    row_count: int
    read_bytes: int
    def __init__(self, chunk_count: _Optional[int] = ..., done_chunk_count: _Optional[int] = ..., running_chunk_count: _Optional[int] = ..., row_count: _Optional[int] = ..., read_bytes: _Optional[int] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("inputs", "known_inputs", "chunk_count", "retried_chunk_count", "read_row_count", "landed_row_count", "quarantined_row_count", "outdated_row_count", "read_bytes", "money", "expectation_count", "failed_expectation_count", "job_ids", "left_out", "restatement", "transforms", "duration", "coerced_cell_count")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_INPUTS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    RETRIED_CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    LANDED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    OUTDATED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    MONEY_FIELD_NUMBER: _ClassVar[int]
    EXPECTATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_EXPECTATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    RESTATEMENT_FIELD_NUMBER: _ClassVar[int]
    TRANSFORMS_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    COERCED_CELL_COUNT_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedScalarFieldContainer[str]
    known_inputs: _containers.RepeatedScalarFieldContainer[str]
    chunk_count: int
    retried_chunk_count: int
    read_row_count: int
    landed_row_count: int
    quarantined_row_count: int
    outdated_row_count: int
    read_bytes: int
    money: _containers.RepeatedCompositeFieldContainer[Money]
    expectation_count: int
    failed_expectation_count: int
    job_ids: _containers.RepeatedScalarFieldContainer[str]
    left_out: _containers.RepeatedCompositeFieldContainer[ScopeValues]
    restatement: Restatement
    transforms: _containers.RepeatedCompositeFieldContainer[TransformReceipt]
    duration: _duration_pb2.Duration
    coerced_cell_count: int
    def __init__(self, inputs: _Optional[_Iterable[str]] = ..., known_inputs: _Optional[_Iterable[str]] = ..., chunk_count: _Optional[int] = ..., retried_chunk_count: _Optional[int] = ..., read_row_count: _Optional[int] = ..., landed_row_count: _Optional[int] = ..., quarantined_row_count: _Optional[int] = ..., outdated_row_count: _Optional[int] = ..., read_bytes: _Optional[int] = ..., money: _Optional[_Iterable[_Union[Money, _Mapping]]] = ..., expectation_count: _Optional[int] = ..., failed_expectation_count: _Optional[int] = ..., job_ids: _Optional[_Iterable[str]] = ..., left_out: _Optional[_Iterable[_Union[ScopeValues, _Mapping]]] = ..., restatement: _Optional[_Union[Restatement, _Mapping]] = ..., transforms: _Optional[_Iterable[_Union[TransformReceipt, _Mapping]]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., coerced_cell_count: _Optional[int] = ...) -> None: ...

class Money(_message.Message):
    __slots__ = ("column", "read", "landed", "quarantined", "outdated", "unparsable_count")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    LANDED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    OUTDATED_FIELD_NUMBER: _ClassVar[int]
    UNPARSABLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    column: str
    read: str
    landed: str
    quarantined: str
    outdated: str
    unparsable_count: int
    def __init__(self, column: _Optional[str] = ..., read: _Optional[str] = ..., landed: _Optional[str] = ..., quarantined: _Optional[str] = ..., outdated: _Optional[str] = ..., unparsable_count: _Optional[int] = ...) -> None: ...

class Restatement(_message.Message):
    __slots__ = ("old_row_count", "new_row_count", "money")
    OLD_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEW_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    MONEY_FIELD_NUMBER: _ClassVar[int]
    old_row_count: int
    new_row_count: int
    money: _containers.RepeatedCompositeFieldContainer[MoneyChange]
    def __init__(self, old_row_count: _Optional[int] = ..., new_row_count: _Optional[int] = ..., money: _Optional[_Iterable[_Union[MoneyChange, _Mapping]]] = ...) -> None: ...

class MoneyChange(_message.Message):
    __slots__ = ("column", "old", "new", "change")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    column: str
    old: str
    new: str
    change: str
    def __init__(self, column: _Optional[str] = ..., old: _Optional[str] = ..., new: _Optional[str] = ..., change: _Optional[str] = ...) -> None: ...

class TransformReceipt(_message.Message):
    __slots__ = ("transform", "target_table", "row_count", "scope")
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    TARGET_TABLE_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    transform: str
    target_table: str
    row_count: int
    scope: _containers.RepeatedCompositeFieldContainer[ScopeValues]
    def __init__(self, transform: _Optional[str] = ..., target_table: _Optional[str] = ..., row_count: _Optional[int] = ..., scope: _Optional[_Iterable[_Union[ScopeValues, _Mapping]]] = ...) -> None: ...

class RunEvent(_message.Message):
    __slots__ = ("position", "event_time", "event_type", "state", "attempt", "summary", "chunk_id", "epoch", "event_id")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    position: int
    event_time: _timestamp_pb2.Timestamp
    event_type: str
    state: RunState
    attempt: int
    summary: str
    chunk_id: str
    epoch: int
    event_id: str
    def __init__(self, position: _Optional[int] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., event_type: _Optional[str] = ..., state: _Optional[_Union[RunState, str]] = ..., attempt: _Optional[int] = ..., summary: _Optional[str] = ..., chunk_id: _Optional[str] = ..., epoch: _Optional[int] = ..., event_id: _Optional[str] = ...) -> None: ...

class RunResult(_message.Message):
    __slots__ = ("rule_id", "expectation_type", "column", "success", "severity", "element_count", "missing_count", "unexpected_count", "observed_value", "kwargs", "unexpected_samples", "attempt")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNEXPECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_VALUE_FIELD_NUMBER: _ClassVar[int]
    KWARGS_FIELD_NUMBER: _ClassVar[int]
    UNEXPECTED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    expectation_type: str
    column: str
    success: bool
    severity: str
    element_count: int
    missing_count: int
    unexpected_count: int
    observed_value: str
    kwargs: str
    unexpected_samples: _containers.RepeatedScalarFieldContainer[str]
    attempt: int
    def __init__(self, rule_id: _Optional[str] = ..., expectation_type: _Optional[str] = ..., column: _Optional[str] = ..., success: _Optional[bool] = ..., severity: _Optional[str] = ..., element_count: _Optional[int] = ..., missing_count: _Optional[int] = ..., unexpected_count: _Optional[int] = ..., observed_value: _Optional[str] = ..., kwargs: _Optional[str] = ..., unexpected_samples: _Optional[_Iterable[str]] = ..., attempt: _Optional[int] = ...) -> None: ...

class QuarantinedRow(_message.Message):
    __slots__ = ("source", "row_number", "reasons", "raw_row", "money")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ROW_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    RAW_ROW_FIELD_NUMBER: _ClassVar[int]
    MONEY_FIELD_NUMBER: _ClassVar[int]
    source: str
    row_number: int
    reasons: _containers.RepeatedScalarFieldContainer[str]
    raw_row: str
    money: _containers.RepeatedCompositeFieldContainer[QuarantinedMoney]
    def __init__(self, source: _Optional[str] = ..., row_number: _Optional[int] = ..., reasons: _Optional[_Iterable[str]] = ..., raw_row: _Optional[str] = ..., money: _Optional[_Iterable[_Union[QuarantinedMoney, _Mapping]]] = ...) -> None: ...

class QuarantinedMoney(_message.Message):
    __slots__ = ("column", "text", "amount")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    column: str
    text: str
    amount: str
    def __init__(self, column: _Optional[str] = ..., text: _Optional[str] = ..., amount: _Optional[str] = ...) -> None: ...
