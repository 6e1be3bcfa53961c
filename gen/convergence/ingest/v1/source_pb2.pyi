import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ContractMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTRACT_MODE_UNSPECIFIED: _ClassVar[ContractMode]
    CONTRACT_MODE_EVOLVE: _ClassVar[ContractMode]
    CONTRACT_MODE_FREEZE: _ClassVar[ContractMode]
    CONTRACT_MODE_DISCARD_ROW: _ClassVar[ContractMode]
    CONTRACT_MODE_DISCARD_VALUE: _ClassVar[ContractMode]

class EpochUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EPOCH_UNIT_UNSPECIFIED: _ClassVar[EpochUnit]
    EPOCH_UNIT_SECONDS: _ClassVar[EpochUnit]
    EPOCH_UNIT_MILLIS: _ClassVar[EpochUnit]
    EPOCH_UNIT_MICROS: _ClassVar[EpochUnit]

class FileFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_FORMAT_UNSPECIFIED: _ClassVar[FileFormat]
    FILE_FORMAT_CSV: _ClassVar[FileFormat]
    FILE_FORMAT_NDJSON: _ClassVar[FileFormat]
    FILE_FORMAT_PARQUET: _ClassVar[FileFormat]
    FILE_FORMAT_JSON: _ClassVar[FileFormat]

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_UNSPECIFIED: _ClassVar[Compression]
    COMPRESSION_NONE: _ClassVar[Compression]
    COMPRESSION_GZIP: _ClassVar[Compression]
    COMPRESSION_ZSTD: _ClassVar[Compression]

class TextEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_ENCODING_UNSPECIFIED: _ClassVar[TextEncoding]
    TEXT_ENCODING_UTF_8: _ClassVar[TextEncoding]
    TEXT_ENCODING_UTF_16: _ClassVar[TextEncoding]
    TEXT_ENCODING_LATIN_1: _ClassVar[TextEncoding]

class ManifestKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MANIFEST_KIND_UNSPECIFIED: _ClassVar[ManifestKind]
    MANIFEST_KIND_AWS: _ClassVar[ManifestKind]
    MANIFEST_KIND_AZURE: _ClassVar[ManifestKind]
CONTRACT_MODE_UNSPECIFIED: ContractMode
CONTRACT_MODE_EVOLVE: ContractMode
CONTRACT_MODE_FREEZE: ContractMode
CONTRACT_MODE_DISCARD_ROW: ContractMode
CONTRACT_MODE_DISCARD_VALUE: ContractMode
EPOCH_UNIT_UNSPECIFIED: EpochUnit
EPOCH_UNIT_SECONDS: EpochUnit
EPOCH_UNIT_MILLIS: EpochUnit
EPOCH_UNIT_MICROS: EpochUnit
FILE_FORMAT_UNSPECIFIED: FileFormat
FILE_FORMAT_CSV: FileFormat
FILE_FORMAT_NDJSON: FileFormat
FILE_FORMAT_PARQUET: FileFormat
FILE_FORMAT_JSON: FileFormat
COMPRESSION_UNSPECIFIED: Compression
COMPRESSION_NONE: Compression
COMPRESSION_GZIP: Compression
COMPRESSION_ZSTD: Compression
TEXT_ENCODING_UNSPECIFIED: TextEncoding
TEXT_ENCODING_UTF_8: TextEncoding
TEXT_ENCODING_UTF_16: TextEncoding
TEXT_ENCODING_LATIN_1: TextEncoding
MANIFEST_KIND_UNSPECIFIED: ManifestKind
MANIFEST_KIND_AWS: ManifestKind
MANIFEST_KIND_AZURE: ManifestKind

class Source(_message.Message):
    __slots__ = ("source_id", "secret", "file", "openai", "contract", "texts")
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OPENAI_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    source_id: str
    secret: str
    file: FileSource
    openai: OpenAiSource
    contract: Contract
    texts: Texts
    def __init__(self, source_id: _Optional[str] = ..., secret: _Optional[str] = ..., file: _Optional[_Union[FileSource, _Mapping]] = ..., openai: _Optional[_Union[OpenAiSource, _Mapping]] = ..., contract: _Optional[_Union[Contract, _Mapping]] = ..., texts: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...

class Contract(_message.Message):
    __slots__ = ("columns", "types")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    columns: ContractMode
    types: ContractMode
    def __init__(self, columns: _Optional[_Union[ContractMode, str]] = ..., types: _Optional[_Union[ContractMode, str]] = ...) -> None: ...

class Texts(_message.Message):
    __slots__ = ("epochs", "truncate_fractions")
    class EpochsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: EpochUnit
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[EpochUnit, str]] = ...) -> None: ...
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_FRACTIONS_FIELD_NUMBER: _ClassVar[int]
    epochs: _containers.ScalarMap[str, EpochUnit]
    truncate_fractions: bool
    def __init__(self, epochs: _Optional[_Mapping[str, EpochUnit]] = ..., truncate_fractions: _Optional[bool] = ...) -> None: ...

class FileSource(_message.Message):
    __slots__ = ("path", "format", "null_values", "delimiter", "quote", "compression", "encoding", "records", "parent_fields", "manifest", "region", "endpoint")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    NULL_VALUES_FIELD_NUMBER: _ClassVar[int]
    DELIMITER_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELDS_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    path: str
    format: FileFormat
    null_values: _containers.RepeatedScalarFieldContainer[str]
    delimiter: str
    quote: str
    compression: Compression
    encoding: TextEncoding
    records: str
    parent_fields: _containers.RepeatedScalarFieldContainer[str]
    manifest: ManifestKind
    region: str
    endpoint: str
    def __init__(self, path: _Optional[str] = ..., format: _Optional[_Union[FileFormat, str]] = ..., null_values: _Optional[_Iterable[str]] = ..., delimiter: _Optional[str] = ..., quote: _Optional[str] = ..., compression: _Optional[_Union[Compression, str]] = ..., encoding: _Optional[_Union[TextEncoding, str]] = ..., records: _Optional[str] = ..., parent_fields: _Optional[_Iterable[str]] = ..., manifest: _Optional[_Union[ManifestKind, str]] = ..., region: _Optional[str] = ..., endpoint: _Optional[str] = ...) -> None: ...

class OpenAiSource(_message.Message):
    __slots__ = ("base_url", "reports", "usage_group_by", "costs_group_by", "requests_per_minute")
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    USAGE_GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    COSTS_GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    base_url: str
    reports: _containers.RepeatedScalarFieldContainer[str]
    usage_group_by: _containers.RepeatedScalarFieldContainer[str]
    costs_group_by: _containers.RepeatedScalarFieldContainer[str]
    requests_per_minute: float
    def __init__(self, base_url: _Optional[str] = ..., reports: _Optional[_Iterable[str]] = ..., usage_group_by: _Optional[_Iterable[str]] = ..., costs_group_by: _Optional[_Iterable[str]] = ..., requests_per_minute: _Optional[float] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("start_time", "end_time")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
