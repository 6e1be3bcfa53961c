"""A small tenant whose files are right, to be broken one at a time."""

import json
from typing import Final

from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.configs.folder import Folder
from services.orchestrator.configs.resolve import resolve
from services.orchestrator.specs import PipelineSpec

PIPELINE: Final = """\
source: usage
schema: usage
window: {grain: day, lookback: 7d, lag: 1d, timezone: UTC}
target: {dataset: raw_openai, table: usage_logs, partition_by: usage_date, cluster_by: [model]}
write:
  mode: replace
  scope: [usage_date]
quality: {suite: usage, on_failure: hold, hold_for: 2h}
transforms:
  - {sql: cost, target: {dataset: silver_cost, table: focus_costs}, scope: {usage_date: ChargePeriodStart}}
schedule: {cron: "0 6 * * 1-5", timezone: UTC, overlap: buffer_one}
limits: {max_parallel_chunks: 4, chunk_bytes: 64MiB, chunk_attempts: 2, timeout: 30m}
"""

DELIVERIES: Final = """\
source: bills
schema: usage
target: {dataset: raw_bills, table: bills}
write: {mode: replace, scope: [_source]}
"""

COLUMNS: Final = [
    {"name": "usage_date", "type": "DATE", "mode": "REQUIRED"},
    {"name": "seen_at", "type": "TIMESTAMP"},
    {"name": "model", "type": "STRING", "description": "Which model."},
    {"name": "tokens", "type": "INTEGER"},
    {"name": "cost", "type": "BIGNUMERIC"},
    {"name": "ratio", "type": "FLOAT64"},
    {"name": "labels", "type": "STRING", "mode": "REPEATED"},
]

SQL: Final = """\
SELECT cost AS BilledCost, TIMESTAMP(usage_date) AS ChargePeriodStart
FROM acme_raw_openai.usage_logs
WHERE usage_date IN UNNEST(@scope)
"""

TEXTS: Final = {
    "pipelines/p.yml": PIPELINE,
    "pipelines/d.yml": DELIVERIES,
    "sources/usage.yml": (
        "kind: openai\nsecret: key\n"
        "options: {reports: [costs, usage/completions], costs_group_by: [line_item]}\n"
    ),
    "sources/bills.yml": (
        'kind: file\noptions: {path: "bills/*.csv", format: csv, null_values: ["NULL"]}\n'
    ),
    "schemas/usage.json": json.dumps(COLUMNS, indent=1),
    "suites/usage.json": '{"name": "usage", "expectations": []}',
    "transforms/cost.sql": SQL,
}


def folder(**changes: str | None) -> Folder:
    """Return the tenant's files with some replaced (None: taken away); keys are `pipelines__p`."""
    texts = dict(TEXTS)
    suffixes = {"pipelines": ".yml", "sources": ".yml", "transforms": ".sql"}
    for key, text in changes.items():
        kind, _, name = key.partition("__")
        path = f"{kind}/{name}{suffixes.get(kind, '.json')}"
        if text is None:
            del texts[path]
        else:
            texts[path] = text
    return Folder(tenant="acme", texts=texts)


def good(pipeline: str = "p", **changes: str | None) -> PipelineSpec:
    """Return the spec; fail if there is an error."""
    spec, errors = resolve(folder(**changes), pipeline)
    assert errors == ()
    assert spec is not None
    return spec


def errors_of(pipeline: str = "p", **changes: str | None) -> tuple[FileError, ...]:
    """Return the errors, of which there must be one at least."""
    spec, errors = resolve(folder(**changes), pipeline)
    assert spec is None
    assert errors
    assert all(error.found and error.allowed and error.advice for error in errors)
    return errors


def only_error(pipeline: str = "p", **changes: str | None) -> FileError:
    """Return the one error."""
    (error,) = errors_of(pipeline, **changes)
    return error
