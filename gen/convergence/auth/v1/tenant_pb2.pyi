import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TenantState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TENANT_STATE_UNSPECIFIED: _ClassVar[TenantState]
    TENANT_STATE_ACTIVE: _ClassVar[TenantState]
    TENANT_STATE_SUSPENDED: _ClassVar[TenantState]
    TENANT_STATE_DELETED: _ClassVar[TenantState]
TENANT_STATE_UNSPECIFIED: TenantState
TENANT_STATE_ACTIVE: TenantState
TENANT_STATE_SUSPENDED: TenantState
TENANT_STATE_DELETED: TenantState

class Tenant(_message.Message):
    __slots__ = ("name", "display_name", "state", "bigquery_project", "bigquery_location", "service_account", "source_prefixes", "limits", "create_time", "update_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BIGQUERY_PROJECT_FIELD_NUMBER: _ClassVar[int]
    BIGQUERY_LOCATION_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    state: TenantState
    bigquery_project: str
    bigquery_location: str
    service_account: str
    source_prefixes: _containers.RepeatedScalarFieldContainer[str]
    limits: TenantLimits
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., state: _Optional[_Union[TenantState, str]] = ..., bigquery_project: _Optional[str] = ..., bigquery_location: _Optional[str] = ..., service_account: _Optional[str] = ..., source_prefixes: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[TenantLimits, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TenantLimits(_message.Message):
    __slots__ = ("calls_per_second", "call_burst", "live_run_count", "slot_weight", "chunk_count", "read_bytes_per_day")
    CALLS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    CALL_BURST_FIELD_NUMBER: _ClassVar[int]
    LIVE_RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    SLOT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    calls_per_second: float
    call_burst: int
    live_run_count: int
    slot_weight: float
    chunk_count: int
    read_bytes_per_day: int
    def __init__(self, calls_per_second: _Optional[float] = ..., call_burst: _Optional[int] = ..., live_run_count: _Optional[int] = ..., slot_weight: _Optional[float] = ..., chunk_count: _Optional[int] = ..., read_bytes_per_day: _Optional[int] = ...) -> None: ...
