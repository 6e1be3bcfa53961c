"""The tenant whose runs are measured: its files, as a user writes them."""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from bench.data import MODELS, SCHEMA, Format
from libs.client.config_tree import lay_out

TENANT: Final = "bench"
DATASET: Final = "raw_usage"
TRANSFORMED: Final = "silver_usage"
Columns = Sequence[tuple[str, str]]

ROW_RULES: Final = (
    ("expect_column_values_to_not_be_null", {"column": "event_id"}),
    ("expect_column_values_to_be_in_set", {"column": "model", "value_set": list(MODELS)}),
    ("expect_column_values_to_be_between", {"column": "input_tokens", "min_value": 0}),
)
TABLE_RULE: Final = (
    "expect_column_sum_to_be_between",
    {"column": "cost", "min_value": 0, "max_value": 1_000_000_000_000},
)
TRANSFORM: Final = f"""\
-- Cost by day, project and model.
SELECT
  DATE(started_at) AS usage_day,
  project_id,
  model,
  _source AS source_object,
  COUNT(*) AS record_count,
  SUM(input_tokens) AS input_tokens,
  SUM(output_tokens) AS output_tokens,
  SUM(cost) AS cost
FROM {TENANT}_{DATASET}.{{table}}
WHERE _source IN UNNEST(@scope)
GROUP BY usage_day, project_id, model, source_object
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline to measure, and the files that it reads.

    quarantining: A column whose negative values send their rows to quarantine, beside the row rules.
    """

    id: str
    files: tuple[Path, ...]
    format: Format
    mode: str = "append"
    columns: Columns = SCHEMA
    row_rules: bool = True
    quarantining: str = ""
    table_rule: bool = False
    transform: bool = False
    chunk_bytes: str = "64MiB"

    @property
    def table(self) -> str:
        return f"{TENANT}_{DATASET}.{self.id}"

    def rules(self) -> list[dict[str, object]]:
        found: list[tuple[str, dict[str, object], dict[str, object]]] = []
        if self.row_rules:
            found += [(type_, dict(kwargs), {}) for type_, kwargs in ROW_RULES]
        if self.quarantining:
            kwargs: dict[str, object] = {"column": self.quarantining, "min_value": 0}
            found.append(("expect_column_values_to_be_between", kwargs, {"quarantine": True}))
        if self.table_rule:
            found.append((TABLE_RULE[0], dict(TABLE_RULE[1]), {}))
        return [
            {"type": type_, "kwargs": kwargs, "meta": meta, "severity": "critical"}
            for type_, kwargs, meta in found
        ]


def write(configs: Path, pipelines: Sequence[Pipeline]) -> None:
    """Lay out the tenant's folder; the pipelines' files become hard links below it."""
    folder = configs / TENANT
    folder.mkdir(parents=True)
    lay_out(configs, TENANT)
    for pipeline in pipelines:
        _write(folder, pipeline)


def _write(folder: Path, pipeline: Pipeline) -> None:
    data = folder / "data" / pipeline.id
    data.mkdir(parents=True)
    for file in pipeline.files:
        os.link(file, data / file.name)
    document: dict[str, object] = {
        "source": pipeline.id,
        "schema": pipeline.id,
        "target": {"dataset": DATASET, "table": pipeline.id},
        "write": {"mode": pipeline.mode},
        "limits": {"chunk_bytes": pipeline.chunk_bytes, "timeout": "2h"},
    }
    if pipeline.mode == "replace":
        document["write"] = {"mode": "replace", "scope": ["_source"]}
    if rules := pipeline.rules():
        document["quality"] = {
            "suite": pipeline.id,
            "on_failure": "warn" if pipeline.quarantining else "fail",
        }
        suite: dict[str, object] = {
            "name": pipeline.id,
            "meta": {},
            "notes": None,
            "expectations": rules,
        }
        _text(folder / "suites" / f"{pipeline.id}.json", json.dumps(suite))
    if pipeline.transform:
        target = {"dataset": TRANSFORMED, "table": pipeline.id}
        scope = {"_source": "source_object"}
        document["transforms"] = [{"sql": pipeline.id, "target": target, "scope": scope}]
        text = TRANSFORM.replace("{table}", pipeline.id)
        _text(folder / "transforms" / f"{pipeline.id}.sql", text)
    options = {"path": f"data/{pipeline.id}/*", "format": pipeline.format}
    source = {"kind": "file", "options": options}
    columns = [{"name": n, "type": type_, "mode": "NULLABLE"} for n, type_ in pipeline.columns]
    _text(folder / "schemas" / f"{pipeline.id}.json", json.dumps(columns))
    _text(folder / "sources" / f"{pipeline.id}.yml", yaml.safe_dump(source))
    _text(folder / "pipelines" / f"{pipeline.id}.yml", yaml.safe_dump(document))


def _text(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
