from convergence.ingest.v1 import source_pb2 as _source_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Chunk(_message.Message):
    __slots__ = ("chunk_id", "input", "byte_range", "row_groups", "report_window", "whole_file", "estimated_bytes", "expected_row_count")
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    BYTE_RANGE_FIELD_NUMBER: _ClassVar[int]
    ROW_GROUPS_FIELD_NUMBER: _ClassVar[int]
    REPORT_WINDOW_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FILE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_BYTES_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    chunk_id: str
    input: Input
    byte_range: ByteRange
    row_groups: RowGroups
    report_window: ReportWindow
    whole_file: WholeFile
    estimated_bytes: int
    expected_row_count: int
    def __init__(self, chunk_id: _Optional[str] = ..., input: _Optional[_Union[Input, _Mapping]] = ..., byte_range: _Optional[_Union[ByteRange, _Mapping]] = ..., row_groups: _Optional[_Union[RowGroups, _Mapping]] = ..., report_window: _Optional[_Union[ReportWindow, _Mapping]] = ..., whole_file: _Optional[_Union[WholeFile, _Mapping]] = ..., estimated_bytes: _Optional[int] = ..., expected_row_count: _Optional[int] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("input_id", "content_hash", "size_bytes", "change_time_nanos", "version", "delivery")
    INPUT_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_NANOS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    input_id: str
    content_hash: str
    size_bytes: int
    change_time_nanos: int
    version: str
    delivery: str
    def __init__(self, input_id: _Optional[str] = ..., content_hash: _Optional[str] = ..., size_bytes: _Optional[int] = ..., change_time_nanos: _Optional[int] = ..., version: _Optional[str] = ..., delivery: _Optional[str] = ...) -> None: ...

class ByteRange(_message.Message):
    __slots__ = ("start", "end", "first_row_number", "header")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_NUMBER_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    first_row_number: int
    header: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ..., first_row_number: _Optional[int] = ..., header: _Optional[_Iterable[str]] = ...) -> None: ...

class RowGroups(_message.Message):
    __slots__ = ("start", "end", "first_row_number")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_NUMBER_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    first_row_number: int
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ..., first_row_number: _Optional[int] = ...) -> None: ...

class ReportWindow(_message.Message):
    __slots__ = ("report", "window")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    report: str
    window: _source_pb2.Interval
    def __init__(self, report: _Optional[str] = ..., window: _Optional[_Union[_source_pb2.Interval, _Mapping]] = ...) -> None: ...

class WholeFile(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
