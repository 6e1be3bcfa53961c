"""Columns, partitions and clusters of the metadata tables, by BigQuery's names."""

import dataclasses
from typing import Final

from libs.common.lineage import PlatformColumn

DATASET: Final = "metadata"
REQUIRED: Final = "REQUIRED"
REPEATED: Final = "REPEATED"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetadataTable:
    """One table; `partition_by` names a DATE column or is None."""

    name: str
    description: str
    columns: tuple[PlatformColumn, ...]
    partition_by: str | None = None
    cluster_by: tuple[str, ...] = ()

    @property
    def table_id(self) -> str:
        """`dataset.table`."""
        return f"{DATASET}.{self.name}"


TENANTS: Final = MetadataTable(
    name="tenants",
    description="Customers of the platform; a deleted one stays as a tombstone.",
    columns=(
        PlatformColumn("tenant_id", "STRING", REQUIRED),
        PlatformColumn("display_name", "STRING"),
        PlatformColumn("state", "STRING", REQUIRED),
        PlatformColumn("bigquery_project", "STRING"),
        PlatformColumn("bigquery_location", "STRING"),
        PlatformColumn("service_account", "STRING"),
        PlatformColumn("source_prefixes", "STRING", REPEATED),
        PlatformColumn("calls_per_second", "FLOAT64"),
        PlatformColumn("call_burst", "INT64"),
        PlatformColumn("live_run_count", "INT64"),
        PlatformColumn("create_time", "TIMESTAMP", REQUIRED),
        PlatformColumn("update_time", "TIMESTAMP", REQUIRED),
        PlatformColumn("slot_weight", "FLOAT64"),
        PlatformColumn("chunk_count", "INT64"),
        PlatformColumn("read_bytes_per_day", "INT64"),
    ),
    cluster_by=("tenant_id",),
)

API_KEYS: Final = MetadataTable(
    name="api_keys",
    description=(
        "API keys by TO_HEX(SHA256(key)). A row with the first six columns is enough: NULL scopes "
        "mean runs:read, runs:write, pipelines:read. Scopes are parted by spaces."
    ),
    columns=(
        PlatformColumn("api_key_hash", "STRING", REQUIRED),
        PlatformColumn("tenant_id", "STRING", REQUIRED),
        PlatformColumn("created_at", "TIMESTAMP", REQUIRED),
        PlatformColumn("created_by", "STRING"),
        PlatformColumn("is_active", "BOOL", REQUIRED),
        PlatformColumn("description", "STRING"),
        PlatformColumn("key_id", "STRING"),
        PlatformColumn("scopes", "STRING"),
        PlatformColumn("expires_at", "TIMESTAMP"),
        PlatformColumn("revoked_at", "TIMESTAMP"),
        PlatformColumn("superseded_by", "STRING"),
        PlatformColumn("last_used_at", "TIMESTAMP"),
    ),
    cluster_by=("tenant_id",),
)

RUN_EVENTS: Final = MetadataTable(
    name="run_events",
    description="The journal: everything that happened to runs, one row per event, never changed.",
    columns=(
        PlatformColumn("event_id", "STRING", REQUIRED),
        PlatformColumn("position", "INT64", REQUIRED),
        PlatformColumn("epoch", "INT64", REQUIRED),
        PlatformColumn("tenant_id", "STRING"),
        PlatformColumn("pipeline_id", "STRING"),
        PlatformColumn("run_id", "STRING"),
        PlatformColumn("event_type", "STRING", REQUIRED),
        PlatformColumn("event_time", "TIMESTAMP", REQUIRED),
        PlatformColumn("event_date", "DATE", REQUIRED),
        PlatformColumn("payload", "STRING", REQUIRED),
    ),
    partition_by="event_date",
    cluster_by=("tenant_id", "pipeline_id", "run_id"),
)

PUBLISHED: Final = MetadataTable(
    name="published",
    description="Projection of the journal: which run last published a scope value or an input.",
    columns=(
        PlatformColumn("tenant_id", "STRING", REQUIRED),
        PlatformColumn("pipeline_id", "STRING", REQUIRED),
        PlatformColumn("table_id", "STRING", REQUIRED),
        PlatformColumn("scope_key", "STRING", REQUIRED),
        PlatformColumn("kind", "STRING", REQUIRED),
        PlatformColumn("content_hash", "STRING"),
        PlatformColumn("snapshot", "INT64"),
        PlatformColumn("run_id", "STRING"),
        PlatformColumn("position", "INT64"),
        PlatformColumn("publish_time", "TIMESTAMP"),
    ),
    cluster_by=("tenant_id", "pipeline_id", "table_id"),
)

PIPELINE_RUNS: Final = MetadataTable(
    name="pipeline_runs",
    description="Projection of the journal: the latest state of every run, one row each.",
    columns=(
        PlatformColumn("run_name", "STRING", REQUIRED),
        PlatformColumn("tenant_id", "STRING", REQUIRED),
        PlatformColumn("pipeline_id", "STRING", REQUIRED),
        PlatformColumn("run_id", "STRING", REQUIRED),
        PlatformColumn("state", "STRING", REQUIRED),
        PlatformColumn("attempt", "INT64"),
        PlatformColumn("window_start", "TIMESTAMP"),
        PlatformColumn("window_end", "TIMESTAMP"),
        PlatformColumn("delivery", "STRING"),
        PlatformColumn("spec_hash", "STRING"),
        PlatformColumn("create_time", "TIMESTAMP"),
        PlatformColumn("update_time", "TIMESTAMP"),
        PlatformColumn("rows_read", "INT64"),
        PlatformColumn("rows_landed", "INT64"),
        PlatformColumn("rows_quarantined", "INT64"),
        PlatformColumn("failure_kind", "STRING"),
        PlatformColumn("failure_reason", "STRING"),
        PlatformColumn("failure_message", "STRING"),
        PlatformColumn("receipt", "STRING"),
        PlatformColumn("position", "INT64"),
    ),
    cluster_by=("tenant_id", "pipeline_id", "run_id"),
)

DQ_RESULTS: Final = MetadataTable(
    name="dq_results",
    description="One row per expectation evaluated; (run_id, attempt, expectation) is unique.",
    columns=(
        PlatformColumn("tenant_id", "STRING", REQUIRED),
        PlatformColumn("pipeline_id", "STRING", REQUIRED),
        PlatformColumn("run_id", "STRING", REQUIRED),
        PlatformColumn("attempt", "INT64", REQUIRED),
        PlatformColumn("expectation", "STRING", REQUIRED),
        PlatformColumn("expectation_type", "STRING"),
        PlatformColumn("column_name", "STRING"),
        PlatformColumn("kwargs", "STRING"),
        PlatformColumn("success", "BOOL"),
        PlatformColumn("severity", "STRING"),
        PlatformColumn("element_count", "INT64"),
        PlatformColumn("unexpected_count", "INT64"),
        PlatformColumn("missing_count", "INT64"),
        PlatformColumn("observed_value", "STRING"),
        PlatformColumn("evaluate_time", "TIMESTAMP"),
        PlatformColumn("position", "INT64"),
    ),
    cluster_by=("tenant_id", "pipeline_id", "run_id"),
)

TABLES: Final = (TENANTS, API_KEYS, RUN_EVENTS, PUBLISHED, PIPELINE_RUNS, DQ_RESULTS)
"""All of them, in the order in which they are made."""
