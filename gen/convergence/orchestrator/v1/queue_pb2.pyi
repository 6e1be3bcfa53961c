import datetime

from convergence.orchestrator.v1 import run_pb2 as _run_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TenantQueue(_message.Message):
    __slots__ = ("tenant", "slot_weight", "chunk_count", "slot_count", "waiting_chunk_count", "wait_start_time", "lanes", "begun_run_count", "live_run_count", "waiting_run_count", "today_read_bytes", "read_bytes_per_day")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SLOT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    SLOT_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAIT_START_TIME_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    BEGUN_RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    LIVE_RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    TODAY_READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    slot_weight: float
    chunk_count: int
    slot_count: int
    waiting_chunk_count: int
    wait_start_time: _timestamp_pb2.Timestamp
    lanes: _containers.RepeatedCompositeFieldContainer[LaneQueue]
    begun_run_count: int
    live_run_count: int
    waiting_run_count: int
    today_read_bytes: int
    read_bytes_per_day: int
    def __init__(self, tenant: _Optional[str] = ..., slot_weight: _Optional[float] = ..., chunk_count: _Optional[int] = ..., slot_count: _Optional[int] = ..., waiting_chunk_count: _Optional[int] = ..., wait_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lanes: _Optional[_Iterable[_Union[LaneQueue, _Mapping]]] = ..., begun_run_count: _Optional[int] = ..., live_run_count: _Optional[int] = ..., waiting_run_count: _Optional[int] = ..., today_read_bytes: _Optional[int] = ..., read_bytes_per_day: _Optional[int] = ...) -> None: ...

class LaneQueue(_message.Message):
    __slots__ = ("lane", "slot_count", "waiting_chunk_count", "waiting_run_count")
    LANE_FIELD_NUMBER: _ClassVar[int]
    SLOT_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    lane: _run_pb2.RunLane
    slot_count: int
    waiting_chunk_count: int
    waiting_run_count: int
    def __init__(self, lane: _Optional[_Union[_run_pb2.RunLane, str]] = ..., slot_count: _Optional[int] = ..., waiting_chunk_count: _Optional[int] = ..., waiting_run_count: _Optional[int] = ...) -> None: ...

class AccountQueue(_message.Message):
    __slots__ = ("tenant", "secret", "requests_per_minute", "given_requests_per_minute", "using_count", "waiting_count", "resting")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    GIVEN_REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    USING_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESTING_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    secret: str
    requests_per_minute: float
    given_requests_per_minute: float
    using_count: int
    waiting_count: int
    resting: bool
    def __init__(self, tenant: _Optional[str] = ..., secret: _Optional[str] = ..., requests_per_minute: _Optional[float] = ..., given_requests_per_minute: _Optional[float] = ..., using_count: _Optional[int] = ..., waiting_count: _Optional[int] = ..., resting: _Optional[bool] = ...) -> None: ...

class StreamQueue(_message.Message):
    __slots__ = ("per_hour_count", "ready_count", "ready_time")
    PER_HOUR_COUNT_FIELD_NUMBER: _ClassVar[int]
    READY_COUNT_FIELD_NUMBER: _ClassVar[int]
    READY_TIME_FIELD_NUMBER: _ClassVar[int]
    per_hour_count: int
    ready_count: int
    ready_time: _timestamp_pb2.Timestamp
    def __init__(self, per_hour_count: _Optional[int] = ..., ready_count: _Optional[int] = ..., ready_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkerSlots(_message.Message):
    __slots__ = ("address", "slot_count", "busy_slot_count", "resting", "draining")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SLOT_COUNT_FIELD_NUMBER: _ClassVar[int]
    BUSY_SLOT_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESTING_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    address: str
    slot_count: int
    busy_slot_count: int
    resting: bool
    draining: bool
    def __init__(self, address: _Optional[str] = ..., slot_count: _Optional[int] = ..., busy_slot_count: _Optional[int] = ..., resting: _Optional[bool] = ..., draining: _Optional[bool] = ...) -> None: ...
