"""The shape of a tenant's YAML files. Unknown keys and wrong types are errors."""

import re
from typing import Annotated, Final, Literal, TypeAlias

import pydantic

from libs.common.names import ID
from services.orchestrator.configs import quantities
from services.orchestrator.configs.quantities import Misread
from services.orchestrator.configs.scope_values import ScopeColumn, scope_column

TABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*_?")
COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
OBJECTS: Final = re.compile(r"(?:gs|s3)://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/(.*)", re.DOTALL)
OWN_FOLDERS: Final = ("pipelines", "schemas", "secrets", "sources", "suites", "transforms")


def _id(value: str) -> str:
    if not ID.fullmatch(value):
        raise Misread(f"an id {ID.pattern}", "rename it in lower case")
    return value


def _dataset(value: str) -> str:
    if not ID.fullmatch(value) or value == "staging":
        raise Misread(f"{ID.pattern}, except staging", "leave out the tenant's prefix; rename it")
    return value


def _table(value: str) -> str:
    if not TABLE.fullmatch(value) or len(value) > 200:
        raise Misread("letters, digits and single underscores, at most 200", "rename the table")
    return value


def _column(value: str) -> str:
    if not COLUMN.fullmatch(value):
        raise Misread(f"a column name {COLUMN.pattern}")
    return value


Id: TypeAlias = Annotated[str, pydantic.AfterValidator(_id)]
Dataset: TypeAlias = Annotated[str, pydantic.AfterValidator(_dataset)]
TableId: TypeAlias = Annotated[str, pydantic.AfterValidator(_table)]
ColumnName: TypeAlias = Annotated[str, pydantic.AfterValidator(_column)]
Seconds: TypeAlias = Annotated[int, pydantic.BeforeValidator(quantities.seconds)]
Lookback: TypeAlias = Annotated[tuple[int, str], pydantic.PlainValidator(quantities.lookback)]
Days: TypeAlias = Annotated[int, pydantic.BeforeValidator(quantities.days)]
SizeBytes: TypeAlias = Annotated[int, pydantic.BeforeValidator(quantities.size_bytes)]
Timezone: TypeAlias = Annotated[str, pydantic.AfterValidator(quantities.timezone)]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


class WindowPart(_Part):
    grain: Literal["day", "month"]
    lookback: Lookback | None = None
    lag: Days = 0
    timezone: Timezone = "UTC"

    @pydantic.field_validator("lookback")
    @classmethod
    def _its_own_at_least(cls, value: tuple[int, str] | None) -> tuple[int, str] | None:
        if value is not None and not 1 <= value[0] <= {"d": 366, "mo": 36}[value[1]]:
            raise Misread("1d to 366d, or 1mo to 36mo: 1 reads the run's own day or month")
        return value


class TargetPart(_Part):
    dataset: Dataset
    table: TableId
    partition_by: ColumnName | None = None
    cluster_by: list[ColumnName] | None = None


class WritePart(_Part):
    mode: Literal["append", "replace", "merge"]
    scope: list[Annotated[ScopeColumn, pydantic.PlainValidator(scope_column)]] = []
    key: list[ColumnName] = []
    version: ColumnName | None = None


class QualityPart(_Part):
    suite: Id | None = None
    on_failure: Literal["hold", "fail", "warn"] = "hold"
    hold_for: Seconds = 7 * 86400

    @pydantic.field_validator("hold_for")
    @classmethod
    def _some_time(cls, value: int) -> int:
        if not 1 <= value <= 60 * 86400:
            raise Misread("1s to 60d")
        return value


class TransformPart(_Part):
    sql: Id
    target: TargetPart
    scope: dict[str, ColumnName]
    table_schema: Id | None = pydantic.Field(default=None, alias="schema")


class SchedulePart(_Part):
    cron: Annotated[str, pydantic.AfterValidator(quantities.cron)]
    timezone: Timezone = "UTC"
    overlap: Literal["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"] = "skip"
    jitter: Seconds = 0
    catch_up: Seconds = 7 * 86400
    after: list[Id] = pydantic.Field(default=[], max_length=20)
    after_timeout: Seconds = 12 * 3600

    @pydantic.field_validator("jitter")
    @classmethod
    def _within_a_day(cls, value: int) -> int:
        if value > 86400:
            raise Misread("0s to 24h")
        return value

    @pydantic.field_validator("catch_up")
    @classmethod
    def _while_it_is_worth_it(cls, value: int) -> int:
        if not 60 <= value <= 31 * 86400:
            raise Misread("1m to 31d")
        return value

    @pydantic.field_validator("after_timeout")
    @classmethod
    def _some_days(cls, value: int) -> int:
        if not 60 <= value <= 7 * 86400:
            raise Misread("1m to 7d")
        return value


class LimitsPart(_Part):
    max_parallel_chunks: int = pydantic.Field(default=16, ge=1, le=1000)
    chunk_bytes: SizeBytes = 64 * 1024**2
    chunk_attempts: int = pydantic.Field(default=4, ge=1, le=20)
    timeout: Seconds = 2 * 3600

    @pydantic.field_validator("chunk_bytes")
    @classmethod
    def _worth_a_call(cls, value: int) -> int:
        if not 1024 <= value <= 8 * 1024**3:
            raise Misread("1KiB to 8GiB")
        return value

    @pydantic.field_validator("timeout")
    @classmethod
    def _within_a_stream(cls, value: int) -> int:
        if not 1 <= value <= 20 * 3600:
            raise Misread("1s to 20h: BigQuery ends an uncommitted stream after 24 hours")
        return value


class PipelineFile(_Part):
    """`pipelines/{id}.yml`."""

    source: Id
    table_schema: Id = pydantic.Field(alias="schema")
    window: WindowPart | None = None
    target: TargetPart
    write: WritePart
    quality: QualityPart = QualityPart()
    transforms: list[TransformPart] = []
    schedule: SchedulePart | None = None
    limits: LimitsPart = LimitsPart()


class SourceKind(pydantic.BaseModel):
    """The part of a source's file that says how to read the rest."""

    kind: Literal["file", "openai"]


def _address(value: str) -> str:
    pattern = r"https?://[A-Za-z0-9.\-\[\]:]+(?:/[A-Za-z0-9._~/\-]*)?"
    if value and not re.fullmatch(pattern, value):
        allowed = "http(s)://host/path without user, query or fragment"
        raise Misread(allowed, "leave it out to use the provider's own")
    return value


def _object_path(value: str) -> str:
    matched = OBJECTS.fullmatch(value)
    if matched is None or {"", ".", ".."} & set(matched[1].split("/")):
        allowed = "gs://bucket/glob or s3://bucket/glob without empty parts, `.` and `..`"
        raise Misread(allowed, "or a path relative to the tenant's folder")
    return value


class FilePart(_Part):
    path: str
    format: Literal["csv", "ndjson", "json", "parquet"]
    null_values: list[str] = []
    delimiter: str = ""
    quote: str = ""
    records: str = ""
    parent_fields: list[str] = []
    compression: Literal["none", "gzip", "zstd"] | None = None
    encoding: Literal["utf-8", "utf-16", "latin-1"] | None = None
    manifest: Literal["aws", "azure"] | None = None
    region: str = ""
    endpoint: str = ""

    @property
    def remote(self) -> bool:
        """Whether the path is an address of an object store."""
        return "://" in self.path

    @pydantic.field_validator("path")
    @classmethod
    def _below_the_folder(cls, value: str) -> str:
        if "://" in value:
            return _object_path(value)
        parts = value.split("/")
        if value.startswith(("/", "~")) or "\\" in value or {"", ".", ".."} & set(parts):
            raise Misread("a path relative to the tenant's folder, that stays in it")
        if len(parts) > 1 and (set("*?[") & set(parts[0]) or parts[0] in OWN_FOLDERS):
            folders = ", ".join(OWN_FOLDERS)
            raise Misread(f"a first folder written out, none of {folders}", "as in bills/*.csv")
        return value

    @pydantic.field_validator("region")
    @classmethod
    def _a_region(cls, value: str) -> str:
        if value and not re.fullmatch(r"[a-z]{2}[a-z0-9-]{1,30}", value):
            raise Misread("a region such as eu-west-1", "leave it out to have the store find it")
        return value

    @pydantic.field_validator("endpoint")
    @classmethod
    def _an_address(cls, value: str) -> str:
        return _address(value)

    @pydantic.field_validator("records")
    @classmethod
    def _names_joined_by_dots(cls, value: str) -> str:
        if value and not all(value.split(".")):
            allowed = "names joined by dots, such as data.results"
            raise Misread(allowed, "leave it out if the file is the array itself")
        return value

    @pydantic.field_validator("parent_fields")
    @classmethod
    def _names_once(cls, value: list[str]) -> list[str]:
        if not all(value) or len(set(value)) != len(value):
            raise Misread("names of fields, each once", "remove the empty or repeated one")
        return value

    @pydantic.field_validator("delimiter", "quote")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if value and (len(value) != 1 or value in "\r\n" or not value.isascii()):
            raise Misread("one ASCII character")
        return value


UsageGroup: TypeAlias = Literal[
    "project_id", "user_id", "api_key_id", "model", "batch", "service_tier"
]
CostGroup: TypeAlias = Literal["project_id", "line_item", "api_key_id"]


class OpenAiPart(_Part):
    base_url: str = ""
    reports: list[Literal["usage/completions", "costs"]] = pydantic.Field(min_length=1)
    usage_group_by: list[UsageGroup] = []
    costs_group_by: list[CostGroup] = []
    requests_per_minute: float = pydantic.Field(default=500, ge=1, le=1_000_000)

    @pydantic.field_validator("base_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        return _address(value)

    @pydantic.field_validator("reports", "usage_group_by", "costs_group_by")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise Misread("each value once", "remove the repeated one")
        return value


class TextsPart(_Part):
    """How texts of a source are read where a type alone does not say."""

    epochs: dict[ColumnName, Literal["seconds", "millis", "micros"]] = {}
    truncate_fractions: bool = False


class ContractPart(_Part):
    columns: Literal["discard_value", "discard_row", "freeze", "evolve"] = "discard_value"
    types: Literal["discard_row", "freeze", "evolve"] = "discard_row"


class FileSourceFile(_Part):
    """`sources/{id}.yml` of kind `file`."""

    kind: Literal["file"]
    secret: Id | None = None
    texts: TextsPart = TextsPart()
    options: FilePart
    contract: ContractPart = ContractPart()


class OpenAiSourceFile(_Part):
    """`sources/{id}.yml` of kind `openai`."""

    kind: Literal["openai"]
    secret: Id
    texts: TextsPart = TextsPart()
    options: OpenAiPart
    contract: ContractPart = ContractPart()


SourceFile: TypeAlias = FileSourceFile | OpenAiSourceFile
SOURCE_FILES: Final[dict[str, type[FileSourceFile] | type[OpenAiSourceFile]]] = {
    "file": FileSourceFile,
    "openai": OpenAiSourceFile,
}
