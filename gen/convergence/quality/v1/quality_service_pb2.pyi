from convergence.quality.v1 import suite_pb2 as _suite_pb2
from convergence.quality.v1 import verdict_pb2 as _verdict_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SuiteColumn(_message.Message):
    __slots__ = ("name", "type", "repeated")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    repeated: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., repeated: _Optional[bool] = ...) -> None: ...

class CompileSuiteRequest(_message.Message):
    __slots__ = ("parent", "suite_document", "columns")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SUITE_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    suite_document: str
    columns: _containers.RepeatedCompositeFieldContainer[SuiteColumn]
    def __init__(self, parent: _Optional[str] = ..., suite_document: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[SuiteColumn, _Mapping]]] = ...) -> None: ...

class CompileSuiteResponse(_message.Message):
    __slots__ = ("suite",)
    SUITE_FIELD_NUMBER: _ClassVar[int]
    suite: _suite_pb2.CompiledSuite
    def __init__(self, suite: _Optional[_Union[_suite_pb2.CompiledSuite, _Mapping]] = ...) -> None: ...

class EvaluateTableRequest(_message.Message):
    __slots__ = ("run", "suite_document", "columns", "row_metrics", "table", "location", "maximum_billed_bytes", "attempt")
    RUN_FIELD_NUMBER: _ClassVar[int]
    SUITE_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROW_METRICS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_BILLED_BYTES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    run: str
    suite_document: str
    columns: _containers.RepeatedCompositeFieldContainer[SuiteColumn]
    row_metrics: _containers.RepeatedCompositeFieldContainer[_suite_pb2.RowRuleMetric]
    table: str
    location: str
    maximum_billed_bytes: int
    attempt: int
    def __init__(self, run: _Optional[str] = ..., suite_document: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[SuiteColumn, _Mapping]]] = ..., row_metrics: _Optional[_Iterable[_Union[_suite_pb2.RowRuleMetric, _Mapping]]] = ..., table: _Optional[str] = ..., location: _Optional[str] = ..., maximum_billed_bytes: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class EvaluateTableResponse(_message.Message):
    __slots__ = ("verdict",)
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    verdict: _verdict_pb2.Verdict
    def __init__(self, verdict: _Optional[_Union[_verdict_pb2.Verdict, _Mapping]] = ...) -> None: ...
