from convergence.common.v1 import failure_pb2 as _failure_pb2
from convergence.orchestrator.v1 import run_pb2 as _run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Explanation(_message.Message):
    __slots__ = ("run", "state", "happened", "fault", "turn", "data_safe", "data", "advice", "commands", "events")
    RUN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HAPPENED_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    DATA_SAFE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    run: str
    state: _run_pb2.RunState
    happened: _containers.RepeatedScalarFieldContainer[str]
    fault: _failure_pb2.FailureKind
    turn: str
    data_safe: bool
    data: str
    advice: _containers.RepeatedScalarFieldContainer[str]
    commands: _containers.RepeatedScalarFieldContainer[str]
    events: _containers.RepeatedCompositeFieldContainer[_run_pb2.RunEvent]
    def __init__(self, run: _Optional[str] = ..., state: _Optional[_Union[_run_pb2.RunState, str]] = ..., happened: _Optional[_Iterable[str]] = ..., fault: _Optional[_Union[_failure_pb2.FailureKind, str]] = ..., turn: _Optional[str] = ..., data_safe: _Optional[bool] = ..., data: _Optional[str] = ..., advice: _Optional[_Iterable[str]] = ..., commands: _Optional[_Iterable[str]] = ..., events: _Optional[_Iterable[_Union[_run_pb2.RunEvent, _Mapping]]] = ...) -> None: ...
