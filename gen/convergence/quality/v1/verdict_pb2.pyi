from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(_message.Message):
    __slots__ = ("success", "results")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    results: _containers.RepeatedCompositeFieldContainer[ExpectationResult]
    def __init__(self, success: _Optional[bool] = ..., results: _Optional[_Iterable[_Union[ExpectationResult, _Mapping]]] = ...) -> None: ...

class ExpectationResult(_message.Message):
    __slots__ = ("rule_id", "expectation_type", "column", "kwargs", "success", "severity", "element_count", "missing_count", "unexpected_count", "observed_value", "unexpected_samples")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    KWARGS_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNEXPECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_VALUE_FIELD_NUMBER: _ClassVar[int]
    UNEXPECTED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    expectation_type: str
    column: str
    kwargs: str
    success: bool
    severity: str
    element_count: int
    missing_count: int
    unexpected_count: int
    observed_value: str
    unexpected_samples: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rule_id: _Optional[str] = ..., expectation_type: _Optional[str] = ..., column: _Optional[str] = ..., kwargs: _Optional[str] = ..., success: _Optional[bool] = ..., severity: _Optional[str] = ..., element_count: _Optional[int] = ..., missing_count: _Optional[int] = ..., unexpected_count: _Optional[int] = ..., observed_value: _Optional[str] = ..., unexpected_samples: _Optional[_Iterable[str]] = ...) -> None: ...
