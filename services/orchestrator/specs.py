"""A pipeline with everything it refers to, resolved: what a run is made of and uses to its end."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import pydantic

from libs.common.lineage import PlatformColumn, variants


class _Part(pydantic.BaseModel):
    """Base of what is in a spec: frozen. What a later release of the same journal version adds is kept."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")


class ColumnSpec(_Part):
    """A column of a BigQuery table schema; `type` carries parameters, as in `NUMERIC(10,2)`."""

    name: str
    type: str
    mode: Literal["NULLABLE", "REQUIRED", "REPEATED"] = "NULLABLE"
    description: str = ""

    def platform(self) -> PlatformColumn:
        return PlatformColumn(self.name, self.type, self.mode)


class FileOptions(_Part):
    """Files below the tenant's folder, or objects of a bucket (`gs://…`, `s3://…`)."""

    kind: Literal["file"] = "file"
    path: str
    format: Literal["csv", "ndjson", "json", "parquet"]
    null_values: tuple[str, ...] = ()
    delimiter: str = ""
    quote: str = ""
    records: str = ""
    parent_fields: tuple[str, ...] = ()
    compression: Literal["none", "gzip", "zstd"] | None = None
    encoding: Literal["utf-8", "utf-16", "latin-1"] | None = None
    manifest: Literal["aws", "azure"] | None = None
    region: str = ""
    endpoint: str = ""


class OpenAiOptions(_Part):
    """OpenAI's organization usage and costs API."""

    kind: Literal["openai"] = "openai"
    base_url: str = ""
    reports: tuple[Literal["usage/completions", "costs"], ...]
    usage_group_by: tuple[str, ...] = ()
    costs_group_by: tuple[str, ...] = ()
    requests_per_minute: float = 0.0
    """That the provider takes from the account of the secret; 0 is no bound."""


SourceOptions = Annotated[FileOptions | OpenAiOptions, pydantic.Field(discriminator="kind")]


class TextsSpec(_Part):
    """How texts are read where a type alone does not say: numbers as times, long fractions."""

    epochs: tuple[tuple[str, Literal["seconds", "millis", "micros"]], ...] = ()
    """Pairs (column, what its numbers count from 1970)."""
    truncate_fractions: bool = False


class ContractSpec(_Part):
    """What becomes of data that differs from the schema; the modes are named as dlt names them."""

    columns: Literal["discard_value", "discard_row", "freeze", "evolve"] = "discard_value"
    """Columns and fields that the schema lacks."""
    types: Literal["discard_row", "freeze", "evolve"] = "discard_row"
    """Cells that do not fit their column."""

    @property
    def evolves(self) -> bool:
        """Whether the table may get columns that the schema does not name."""
        return "evolve" in (self.columns, self.types)


class SourceSpec(_Part):
    """Where data comes from; `secret` is a name, never a value."""

    source_id: str
    secret: str | None = None
    options: SourceOptions
    texts: TextsSpec = TextsSpec()
    contract: ContractSpec = ContractSpec()


class WindowSpec(_Part):
    """The time span of a run: day (or month) D reads and replaces D - lookback + 1 … D."""

    grain: Literal["day", "month"] = "day"
    lookback_days: int = 1
    lookback_months: int = 1
    """With grain `month`, of which `lookback_days` says nothing."""
    lag_days: int = 0
    timezone: str = "UTC"


class TargetSpec(_Part):
    """A table of the tenant; `dataset` has no tenant prefix. Lists name columns."""

    dataset: str
    table: str
    partition_by: str = "ingestion_date"
    cluster_by: tuple[str, ...] = ("_tenant_id", "_pipeline_id")

    def table_id(self, tenant: str) -> str:
        """Return `dataset.table` with the tenant's prefix."""
        return f"{tenant}_{self.dataset}.{self.table}"


class WriteSpec(_Part):
    """How rows are published; `scope` names one column (lineage column `_source` included)."""

    mode: Literal["append", "replace", "merge"]
    scope: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    """Further columns of the scope, with the one value that they have in every run, as text."""
    key: tuple[str, ...] = ()
    version: str | None = None


class QualitySpec(_Part):
    """The suite's document and what its verdict means."""

    suite_id: str | None = None
    suite_document: str = ""
    on_failure: Literal["hold", "fail", "warn"] = "hold"
    hold_for_seconds: int = 7 * 86400


class TransformSpec(_Part):
    """One SELECT with `@scope`, its target, and which target column each scope column becomes."""

    transform_id: str
    sql: str
    target: TargetSpec
    columns: tuple[ColumnSpec, ...] = ()
    """Schema of the target where it is declared or built in; empty: the SELECT's own columns."""
    scope: tuple[tuple[str, str], ...]
    """Pairs (column of the raw table's scope, column of the target)."""
    reads: tuple[str, ...] = ()
    """Datasets that the SELECT names, each once, sorted."""


class LimitsSpec(_Part):
    """What one run may use."""

    max_parallel_chunks: int = 16
    chunk_bytes: int = 64 * 1024 * 1024
    chunk_attempts: int = 4
    timeout_seconds: int = 2 * 3600


Overlap = Literal["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"]
"""What becomes of a fire while a run of the pipeline is live, named as Temporal names it."""


class ScheduleSpec(_Part):
    """When runs start by themselves."""

    cron: str
    timezone: str = "UTC"
    overlap: Overlap = "skip"
    jitter_seconds: int = 0
    """Fires are late on purpose by less than this, always by the same time."""
    catch_up_seconds: int = 7 * 86400
    """How old a fire may be that is made up."""
    after: tuple[str, ...] = ()
    """Pipelines of the tenant that must have succeeded for the same day or month."""
    after_timeout_seconds: int = 12 * 3600


class PipelineSpec(_Part):
    """Everything a run needs to know about its pipeline."""

    version: Literal[1] = 1
    tenant: str
    pipeline: str
    source: SourceSpec
    schema_id: str
    columns: tuple[ColumnSpec, ...]
    added_count: int = pydantic.Field(default=0, exclude=True)
    """How many of the last columns are a run's own, and none of the schema."""
    window: WindowSpec | None = None
    target: TargetSpec
    write: WriteSpec
    quality: QualitySpec = QualitySpec()
    transforms: tuple[TransformSpec, ...] = ()
    schedule: ScheduleSpec | None = None
    limits: LimitsSpec = LimitsSpec()

    @property
    def spec_hash(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def canonical(self) -> str:
        """Return the JSON that is journaled: fields in order of declaration, the schema's columns."""
        return self.without_added().model_dump_json()

    @property
    def scope_columns(self) -> tuple[str, ...]:
        """Columns of a `replace`'s scope: the one whose values a run fixes, then the fixed ones."""
        return (*self.write.scope, *(column for column, _ in self.write.fixed))

    def scope_over(self, values: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the scope of a `replace` over values of its first column; empty for none."""
        if not values:
            return ()
        fixed = ((column, (value,)) for column, value in self.write.fixed)
        return ((self.write.scope[0], values), *fixed)

    @property
    def by_delivery(self) -> bool:
        """Whether what a manifest names is replaced as a whole, where the source has manifests."""
        return self.write.mode == "replace" and self.write.scope == ("_source",)

    def with_columns(self, named: Iterable[tuple[str, str]]) -> Self:
        """Return the spec with NULLABLE columns (name, type) after those of its schema."""
        added = tuple(ColumnSpec(name=name, type=type_) for name, type_ in named)
        count = self.added_count + len(added)
        return self.model_copy(update={"columns": (*self.columns, *added), "added_count": count})

    def without_added(self) -> Self:
        """Return the spec with the columns of its schema only."""
        declared = self.columns[: len(self.columns) - self.added_count]
        return self.model_copy(update={"columns": declared, "added_count": 0})

    @property
    def fixed_columns(self) -> frozenset[str]:
        """Columns that do not evolve: a row without a value in them never lands."""
        version = (self.write.version,) if self.write.version else ()
        return frozenset({*self.scope_columns, *self.write.key, *version})

    @property
    def variants(self) -> tuple[str, ...]:
        """Columns that take the texts of cells which do not fit; none unless types evolve."""
        if self.source.contract.types != "evolve":
            return ()
        declared = [column.platform() for column in self.columns]
        return tuple(column.name for column in variants(declared, self.fixed_columns))

    @property
    def direct(self) -> bool:
        """Whether `append` may open its streams on the target itself.

        Table rules are not known here: the orchestrator adds that condition.
        """
        return (
            self.write.mode == "append"
            and not self.source.contract.evolves
            and self.quality.on_failure == "fail"
            and self.limits.timeout_seconds <= 3 * 3600
        )
