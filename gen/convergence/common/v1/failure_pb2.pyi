from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FailureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_KIND_UNSPECIFIED: _ClassVar[FailureKind]
    FAILURE_KIND_CONFIG: _ClassVar[FailureKind]
    FAILURE_KIND_SOURCE: _ClassVar[FailureKind]
    FAILURE_KIND_DATA: _ClassVar[FailureKind]
    FAILURE_KIND_QUOTA: _ClassVar[FailureKind]
    FAILURE_KIND_PLATFORM: _ClassVar[FailureKind]
FAILURE_KIND_UNSPECIFIED: FailureKind
FAILURE_KIND_CONFIG: FailureKind
FAILURE_KIND_SOURCE: FailureKind
FAILURE_KIND_DATA: FailureKind
FAILURE_KIND_QUOTA: FailureKind
FAILURE_KIND_PLATFORM: FailureKind

class Failure(_message.Message):
    __slots__ = ("kind", "reason", "message", "advice", "data_safe", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    DATA_SAFE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    kind: FailureKind
    reason: str
    message: str
    advice: str
    data_safe: bool
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, kind: _Optional[_Union[FailureKind, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., advice: _Optional[str] = ..., data_safe: _Optional[bool] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...
