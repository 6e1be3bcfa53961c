import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_FORMAT_UNSPECIFIED: _ClassVar[FileFormat]
    FILE_FORMAT_CSV: _ClassVar[FileFormat]
    FILE_FORMAT_NDJSON: _ClassVar[FileFormat]
    FILE_FORMAT_PARQUET: _ClassVar[FileFormat]
FILE_FORMAT_UNSPECIFIED: FileFormat
FILE_FORMAT_CSV: FileFormat
FILE_FORMAT_NDJSON: FileFormat
FILE_FORMAT_PARQUET: FileFormat

class Source(_message.Message):
    __slots__ = ("source_id", "secret", "file", "openai")
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OPENAI_FIELD_NUMBER: _ClassVar[int]
    source_id: str
    secret: str
    file: FileSource
    openai: OpenAiSource
    def __init__(self, source_id: _Optional[str] = ..., secret: _Optional[str] = ..., file: _Optional[_Union[FileSource, _Mapping]] = ..., openai: _Optional[_Union[OpenAiSource, _Mapping]] = ...) -> None: ...

class FileSource(_message.Message):
    __slots__ = ("path", "format", "null_values", "delimiter", "quote")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    NULL_VALUES_FIELD_NUMBER: _ClassVar[int]
    DELIMITER_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    path: str
    format: FileFormat
    null_values: _containers.RepeatedScalarFieldContainer[str]
    delimiter: str
    quote: str
    def __init__(self, path: _Optional[str] = ..., format: _Optional[_Union[FileFormat, str]] = ..., null_values: _Optional[_Iterable[str]] = ..., delimiter: _Optional[str] = ..., quote: _Optional[str] = ...) -> None: ...

class OpenAiSource(_message.Message):
    __slots__ = ("base_url", "reports", "usage_group_by", "costs_group_by")
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    USAGE_GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    COSTS_GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    base_url: str
    reports: _containers.RepeatedScalarFieldContainer[str]
    usage_group_by: _containers.RepeatedScalarFieldContainer[str]
    costs_group_by: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, base_url: _Optional[str] = ..., reports: _Optional[_Iterable[str]] = ..., usage_group_by: _Optional[_Iterable[str]] = ..., costs_group_by: _Optional[_Iterable[str]] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("start_time", "end_time")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
