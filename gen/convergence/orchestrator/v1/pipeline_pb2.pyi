import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WriteMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WRITE_MODE_UNSPECIFIED: _ClassVar[WriteMode]
    WRITE_MODE_APPEND: _ClassVar[WriteMode]
    WRITE_MODE_REPLACE: _ClassVar[WriteMode]
    WRITE_MODE_MERGE: _ClassVar[WriteMode]
WRITE_MODE_UNSPECIFIED: WriteMode
WRITE_MODE_APPEND: WriteMode
WRITE_MODE_REPLACE: WriteMode
WRITE_MODE_MERGE: WriteMode

class Pipeline(_message.Message):
    __slots__ = ("name", "source", "source_kind", "target_table", "write_mode", "scope_columns", "suite", "transforms", "spec_hash", "errors", "load_time", "window_grain")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_TABLE_FIELD_NUMBER: _ClassVar[int]
    WRITE_MODE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    TRANSFORMS_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    LOAD_TIME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_GRAIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    source_kind: str
    target_table: str
    write_mode: WriteMode
    scope_columns: _containers.RepeatedScalarFieldContainer[str]
    suite: str
    transforms: _containers.RepeatedScalarFieldContainer[str]
    spec_hash: str
    errors: _containers.RepeatedCompositeFieldContainer[FileError]
    load_time: _timestamp_pb2.Timestamp
    window_grain: str
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ..., source_kind: _Optional[str] = ..., target_table: _Optional[str] = ..., write_mode: _Optional[_Union[WriteMode, str]] = ..., scope_columns: _Optional[_Iterable[str]] = ..., suite: _Optional[str] = ..., transforms: _Optional[_Iterable[str]] = ..., spec_hash: _Optional[str] = ..., errors: _Optional[_Iterable[_Union[FileError, _Mapping]]] = ..., load_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_grain: _Optional[str] = ...) -> None: ...

class FileError(_message.Message):
    __slots__ = ("file", "line", "field", "found", "allowed", "advice")
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    file: str
    line: int
    field: str
    found: str
    allowed: str
    advice: str
    def __init__(self, file: _Optional[str] = ..., line: _Optional[int] = ..., field: _Optional[str] = ..., found: _Optional[str] = ..., allowed: _Optional[str] = ..., advice: _Optional[str] = ...) -> None: ...
