import datetime

from convergence.orchestrator.v1 import run_pb2 as _run_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OverlapPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERLAP_POLICY_UNSPECIFIED: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_SKIP: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_BUFFER_ONE: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_BUFFER_ALL: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_CANCEL_OTHER: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_ALLOW_ALL: _ClassVar[OverlapPolicy]

class FireOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIRE_OUTCOME_UNSPECIFIED: _ClassVar[FireOutcome]
    FIRE_OUTCOME_STARTED: _ClassVar[FireOutcome]
    FIRE_OUTCOME_SKIPPED: _ClassVar[FireOutcome]
    FIRE_OUTCOME_MISSED: _ClassVar[FireOutcome]
    FIRE_OUTCOME_REFUSED: _ClassVar[FireOutcome]

class FireCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIRE_CAUSE_UNSPECIFIED: _ClassVar[FireCause]
    FIRE_CAUSE_OVERLAP: _ClassVar[FireCause]
    FIRE_CAUSE_BUFFER_FULL: _ClassVar[FireCause]
    FIRE_CAUSE_OVERTAKEN: _ClassVar[FireCause]
    FIRE_CAUSE_SAME_WINDOW: _ClassVar[FireCause]
    FIRE_CAUSE_ORDER: _ClassVar[FireCause]
    FIRE_CAUSE_TOO_OLD: _ClassVar[FireCause]
    FIRE_CAUSE_REFUSED: _ClassVar[FireCause]
OVERLAP_POLICY_UNSPECIFIED: OverlapPolicy
OVERLAP_POLICY_SKIP: OverlapPolicy
OVERLAP_POLICY_BUFFER_ONE: OverlapPolicy
OVERLAP_POLICY_BUFFER_ALL: OverlapPolicy
OVERLAP_POLICY_CANCEL_OTHER: OverlapPolicy
OVERLAP_POLICY_ALLOW_ALL: OverlapPolicy
FIRE_OUTCOME_UNSPECIFIED: FireOutcome
FIRE_OUTCOME_STARTED: FireOutcome
FIRE_OUTCOME_SKIPPED: FireOutcome
FIRE_OUTCOME_MISSED: FireOutcome
FIRE_OUTCOME_REFUSED: FireOutcome
FIRE_CAUSE_UNSPECIFIED: FireCause
FIRE_CAUSE_OVERLAP: FireCause
FIRE_CAUSE_BUFFER_FULL: FireCause
FIRE_CAUSE_OVERTAKEN: FireCause
FIRE_CAUSE_SAME_WINDOW: FireCause
FIRE_CAUSE_ORDER: FireCause
FIRE_CAUSE_TOO_OLD: FireCause
FIRE_CAUSE_REFUSED: FireCause

class Schedule(_message.Message):
    __slots__ = ("name", "cron", "time_zone", "overlap", "jitter", "catch_up", "after", "after_timeout", "pause", "hindrance", "next_fires", "waiting_fires", "last_fires")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    CATCH_UP_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    HINDRANCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIRES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIRES_FIELD_NUMBER: _ClassVar[int]
    LAST_FIRES_FIELD_NUMBER: _ClassVar[int]
    name: str
    cron: str
    time_zone: str
    overlap: OverlapPolicy
    jitter: _duration_pb2.Duration
    catch_up: _duration_pb2.Duration
    after: _containers.RepeatedScalarFieldContainer[str]
    after_timeout: _duration_pb2.Duration
    pause: SchedulePause
    hindrance: str
    next_fires: _containers.RepeatedCompositeFieldContainer[NextFire]
    waiting_fires: _containers.RepeatedCompositeFieldContainer[WaitingFire]
    last_fires: _containers.RepeatedCompositeFieldContainer[Fire]
    def __init__(self, name: _Optional[str] = ..., cron: _Optional[str] = ..., time_zone: _Optional[str] = ..., overlap: _Optional[_Union[OverlapPolicy, str]] = ..., jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., catch_up: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., after: _Optional[_Iterable[str]] = ..., after_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., pause: _Optional[_Union[SchedulePause, _Mapping]] = ..., hindrance: _Optional[str] = ..., next_fires: _Optional[_Iterable[_Union[NextFire, _Mapping]]] = ..., waiting_fires: _Optional[_Iterable[_Union[WaitingFire, _Mapping]]] = ..., last_fires: _Optional[_Iterable[_Union[Fire, _Mapping]]] = ...) -> None: ...

class SchedulePause(_message.Message):
    __slots__ = ("by", "reason", "pause_time")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PAUSE_TIME_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    pause_time: _timestamp_pb2.Timestamp
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ..., pause_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NextFire(_message.Message):
    __slots__ = ("fire_time", "due_time", "window")
    FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    fire_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    window: _run_pb2.Window
    def __init__(self, fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window: _Optional[_Union[_run_pb2.Window, _Mapping]] = ...) -> None: ...

class WaitingFire(_message.Message):
    __slots__ = ("fire_time", "cause", "cancels")
    FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    fire_time: _timestamp_pb2.Timestamp
    cause: FireCause
    cancels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cause: _Optional[_Union[FireCause, str]] = ..., cancels: _Optional[_Iterable[str]] = ...) -> None: ...

class Fire(_message.Message):
    __slots__ = ("fire_time", "last_fire_time", "fire_count", "outcome", "cause", "run", "run_state", "message", "decide_time")
    FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    FIRE_COUNT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    RUN_STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DECIDE_TIME_FIELD_NUMBER: _ClassVar[int]
    fire_time: _timestamp_pb2.Timestamp
    last_fire_time: _timestamp_pb2.Timestamp
    fire_count: int
    outcome: FireOutcome
    cause: FireCause
    run: str
    run_state: _run_pb2.RunState
    message: str
    decide_time: _timestamp_pb2.Timestamp
    def __init__(self, fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fire_count: _Optional[int] = ..., outcome: _Optional[_Union[FireOutcome, str]] = ..., cause: _Optional[_Union[FireCause, str]] = ..., run: _Optional[str] = ..., run_state: _Optional[_Union[_run_pb2.RunState, str]] = ..., message: _Optional[str] = ..., decide_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
