import datetime

from convergence.orchestrator.v1 import run_pb2 as _run_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BackfillState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKFILL_STATE_UNSPECIFIED: _ClassVar[BackfillState]
    BACKFILL_STATE_RUNNING: _ClassVar[BackfillState]
    BACKFILL_STATE_PAUSED: _ClassVar[BackfillState]
    BACKFILL_STATE_FINISHED: _ClassVar[BackfillState]
    BACKFILL_STATE_CANCELLING: _ClassVar[BackfillState]
    BACKFILL_STATE_CANCELLED: _ClassVar[BackfillState]

class BackfillOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKFILL_ORDER_UNSPECIFIED: _ClassVar[BackfillOrder]
    BACKFILL_ORDER_NEWEST_FIRST: _ClassVar[BackfillOrder]
    BACKFILL_ORDER_OLDEST_FIRST: _ClassVar[BackfillOrder]
BACKFILL_STATE_UNSPECIFIED: BackfillState
BACKFILL_STATE_RUNNING: BackfillState
BACKFILL_STATE_PAUSED: BackfillState
BACKFILL_STATE_FINISHED: BackfillState
BACKFILL_STATE_CANCELLING: BackfillState
BACKFILL_STATE_CANCELLED: BackfillState
BACKFILL_ORDER_UNSPECIFIED: BackfillOrder
BACKFILL_ORDER_NEWEST_FIRST: BackfillOrder
BACKFILL_ORDER_OLDEST_FIRST: BackfillOrder

class Backfill(_message.Message):
    __slots__ = ("name", "state", "start_date", "end_date", "max_parallel", "order", "max_failures", "reload", "reason", "created_by", "spec_hash", "create_time", "update_time", "end_time", "paused_by", "pause_reason", "cancel_reason", "progress", "receipt", "troubles")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_DATE_FIELD_NUMBER: _ClassVar[int]
    END_DATE_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURES_FIELD_NUMBER: _ClassVar[int]
    RELOAD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    PAUSE_REASON_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: BackfillState
    start_date: str
    end_date: str
    max_parallel: int
    order: BackfillOrder
    max_failures: int
    reload: bool
    reason: str
    created_by: str
    spec_hash: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    paused_by: str
    pause_reason: str
    cancel_reason: str
    progress: BackfillProgress
    receipt: BackfillReceipt
    troubles: _containers.RepeatedCompositeFieldContainer[BackfillTrouble]
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[BackfillState, str]] = ..., start_date: _Optional[str] = ..., end_date: _Optional[str] = ..., max_parallel: _Optional[int] = ..., order: _Optional[_Union[BackfillOrder, str]] = ..., max_failures: _Optional[int] = ..., reload: _Optional[bool] = ..., reason: _Optional[str] = ..., created_by: _Optional[str] = ..., spec_hash: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., paused_by: _Optional[str] = ..., pause_reason: _Optional[str] = ..., cancel_reason: _Optional[str] = ..., progress: _Optional[_Union[BackfillProgress, _Mapping]] = ..., receipt: _Optional[_Union[BackfillReceipt, _Mapping]] = ..., troubles: _Optional[_Iterable[_Union[BackfillTrouble, _Mapping]]] = ...) -> None: ...

class BackfillProgress(_message.Message):
    __slots__ = ("window_count", "waiting_count", "running_count", "succeeded_count", "superseded_count", "held_count", "failed_count", "cancelled_count", "estimated_end_time")
    WINDOW_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    HELD_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_END_TIME_FIELD_NUMBER: _ClassVar[int]
    window_count: int
    waiting_count: int
    running_count: int
    succeeded_count: int
    superseded_count: int
    held_count: int
    failed_count: int
    cancelled_count: int
    estimated_end_time: _timestamp_pb2.Timestamp
    def __init__(self, window_count: _Optional[int] = ..., waiting_count: _Optional[int] = ..., running_count: _Optional[int] = ..., succeeded_count: _Optional[int] = ..., superseded_count: _Optional[int] = ..., held_count: _Optional[int] = ..., failed_count: _Optional[int] = ..., cancelled_count: _Optional[int] = ..., estimated_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BackfillReceipt(_message.Message):
    __slots__ = ("read_row_count", "landed_row_count", "quarantined_row_count", "read_bytes", "money")
    READ_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    LANDED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    MONEY_FIELD_NUMBER: _ClassVar[int]
    read_row_count: int
    landed_row_count: int
    quarantined_row_count: int
    read_bytes: int
    money: _containers.RepeatedCompositeFieldContainer[_run_pb2.Money]
    def __init__(self, read_row_count: _Optional[int] = ..., landed_row_count: _Optional[int] = ..., quarantined_row_count: _Optional[int] = ..., read_bytes: _Optional[int] = ..., money: _Optional[_Iterable[_Union[_run_pb2.Money, _Mapping]]] = ...) -> None: ...

class BackfillTrouble(_message.Message):
    __slots__ = ("date", "run", "run_state", "cause")
    DATE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    RUN_STATE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    date: str
    run: str
    run_state: _run_pb2.RunState
    cause: str
    def __init__(self, date: _Optional[str] = ..., run: _Optional[str] = ..., run_state: _Optional[_Union[_run_pb2.RunState, str]] = ..., cause: _Optional[str] = ...) -> None: ...
