"""Generated deliveries: what each file holds is known from a few numbers, so that a history can say it.

A row's identity is its `id`. A file's good rows have the ids `first … first + good - 1` in order; rows
with a cell that is no number follow, and carry no money.
"""

import csv
import dataclasses
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

Mode = Literal["append", "staged", "replace", "merge"]

MODES: Final[tuple[Mode, ...]] = ("append", "replace", "merge", "staged")
COLUMNS: Final = ("id", "k", "v", "n", "cost")
KEYS: Final = 500
"""Different values of `k`; a file of a `merge` has consecutive ones."""

SCHEMA: Final = [
    {"name": "id", "type": "INT64", "mode": "REQUIRED"},
    {"name": "k", "type": "INT64", "mode": "REQUIRED"},
    {"name": "v", "type": "INT64", "mode": "REQUIRED"},
    {"name": "n", "type": "INT64"},
    {"name": "cost", "type": "NUMERIC"},
]
WRITE: Final[dict[Mode, str]] = {
    "append": "write: {mode: append}\nquality: {on_failure: fail}",
    "staged": "write: {mode: append}\nquality: {suite: rows}",
    "replace": "write: {mode: replace, scope: [_source]}\nquality: {suite: rows}",
    "merge": "write: {mode: merge, key: [k], version: v}",
}
SUITE: Final = {
    "name": "rows",
    "meta": {"great_expectations_version": "1.24.1"},
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}, "meta": {}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}, "meta": {}},
    ],
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One file: its rows by id, and for `merge` the keys and version that they have."""

    first: int
    good: int
    bad: int = 0
    version: int = 0
    key: int = 0

    def facts(self) -> dict[str, int]:
        return dataclasses.asdict(self)


def cost(row_id: int) -> Decimal:
    """Return the money that a good row carries."""
    return Decimal(f"{row_id % 97}.{row_id % 10**9:09d}")


def write(path: Path, delivery: Delivery, *, broken: bool = False) -> None:
    """Write a delivery as CSV, whole or not at all; a broken one lacks a column that the schema requires."""
    columns = [c for c in COLUMNS if not (broken and c == "v")]
    draft = path.with_suffix(".draft")
    with draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for i in range(delivery.good + delivery.bad):
            row_id, is_bad = delivery.first + i, i >= delivery.good
            writer.writerow(
                {
                    "id": row_id,
                    "k": (delivery.key + i) % KEYS,
                    "v": delivery.version,
                    "n": "many" if is_bad else i,
                    "cost": "" if is_bad else cost(row_id),
                }
            )
    draft.replace(path)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline of the load: its names, and where its rows go."""

    tenant: str
    mode: Mode

    @property
    def name(self) -> str:
        return f"tenants/{self.tenant}/pipelines/p_{self.mode}"

    @property
    def target(self) -> str:
        return f"{self.tenant}_raw.{self.mode}_rows"

    @property
    def silver(self) -> str:
        """Where its transform's rows go; empty if it has none."""
        return f"{self.tenant}_silver.{self.mode}_rows" if self.mode == "replace" else ""

    def facts(self) -> dict[str, Any]:
        return {
            "pipeline": self.name,
            "mode": self.mode,
            "target": self.target,
            "silver": self.silver,
        }


def lay_out(configs: Path, pipeline: Pipeline, *, chunk_bytes: str = "16KiB") -> Path:
    """Write a pipeline's configuration; return the folder of its deliveries."""
    folder = configs / pipeline.tenant
    mode = pipeline.mode
    deliveries = folder / "deliveries" / mode
    for name in ("sources", "schemas", "pipelines", "suites", "transforms"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    deliveries.mkdir(parents=True, exist_ok=True)
    files: Mapping[str, str] = {
        "schemas/rows.json": json.dumps(SCHEMA),
        "suites/rows.json": json.dumps(SUITE),
        f"sources/{mode}.yml": (
            f"kind: file\noptions:\n  path: deliveries/{mode}/*.csv\n  format: csv\n"
        ),
        f"pipelines/p_{mode}.yml": (
            f"source: {mode}\nschema: rows\ntarget: {{dataset: raw, table: {mode}_rows}}\n"
            f"{WRITE[mode]}\nlimits: {{max_parallel_chunks: 4, chunk_bytes: {chunk_bytes}}}\n"
        ),
    }
    if pipeline.silver:
        files = {
            **files,
            f"pipelines/p_{mode}.yml": files[f"pipelines/p_{mode}.yml"]
            + "transforms:\n  - {sql: silver, target: {dataset: silver, table: "
            + f"{mode}_rows}}, scope: {{_source: origin}}}}\n",
            "transforms/silver.sql": (
                f"SELECT id, k, v, n, cost, _source AS origin FROM {pipeline.target}"
                " WHERE _source IN UNNEST(@scope)\n"
            ),
        }
    for name, text in files.items():
        (folder / name).write_text(text)
    return deliveries
