import datetime

from convergence.orchestrator.v1 import pipeline_pb2 as _pipeline_pb2
from convergence.orchestrator.v1 import run_pb2 as _run_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetPipelineRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetPipelineResponse(_message.Message):
    __slots__ = ("pipeline",)
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    pipeline: _pipeline_pb2.Pipeline
    def __init__(self, pipeline: _Optional[_Union[_pipeline_pb2.Pipeline, _Mapping]] = ...) -> None: ...

class ListPipelinesRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPipelinesResponse(_message.Message):
    __slots__ = ("pipelines", "next_page_token")
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pipelines: _containers.RepeatedCompositeFieldContainer[_pipeline_pb2.Pipeline]
    next_page_token: str
    def __init__(self, pipelines: _Optional[_Iterable[_Union[_pipeline_pb2.Pipeline, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ValidatePipelineRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ValidatePipelineResponse(_message.Message):
    __slots__ = ("errors", "spec_hash", "warnings")
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    errors: _containers.RepeatedCompositeFieldContainer[_pipeline_pb2.FileError]
    spec_hash: str
    warnings: _containers.RepeatedCompositeFieldContainer[_pipeline_pb2.FileError]
    def __init__(self, errors: _Optional[_Iterable[_Union[_pipeline_pb2.FileError, _Mapping]]] = ..., spec_hash: _Optional[str] = ..., warnings: _Optional[_Iterable[_Union[_pipeline_pb2.FileError, _Mapping]]] = ...) -> None: ...

class PlanRunRequest(_message.Message):
    __slots__ = ("parent", "window_time")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TIME_FIELD_NUMBER: _ClassVar[int]
    parent: str
    window_time: _timestamp_pb2.Timestamp
    def __init__(self, parent: _Optional[str] = ..., window_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PlanRunResponse(_message.Message):
    __slots__ = ("window", "scope", "chunk_count", "estimated_bytes", "inputs", "known_inputs", "target_table", "extra_columns")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_BYTES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_INPUTS_FIELD_NUMBER: _ClassVar[int]
    TARGET_TABLE_FIELD_NUMBER: _ClassVar[int]
    EXTRA_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    window: _run_pb2.Window
    scope: _containers.RepeatedCompositeFieldContainer[_run_pb2.ScopeValues]
    chunk_count: int
    estimated_bytes: int
    inputs: _containers.RepeatedScalarFieldContainer[str]
    known_inputs: _containers.RepeatedScalarFieldContainer[str]
    target_table: str
    extra_columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, window: _Optional[_Union[_run_pb2.Window, _Mapping]] = ..., scope: _Optional[_Iterable[_Union[_run_pb2.ScopeValues, _Mapping]]] = ..., chunk_count: _Optional[int] = ..., estimated_bytes: _Optional[int] = ..., inputs: _Optional[_Iterable[str]] = ..., known_inputs: _Optional[_Iterable[str]] = ..., target_table: _Optional[str] = ..., extra_columns: _Optional[_Iterable[str]] = ...) -> None: ...
