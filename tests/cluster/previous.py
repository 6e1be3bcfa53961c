"""What an upgrade begins with: image and chart of an earlier commit as they were, and a journal that is older still."""

import contextlib
import datetime as dt
import json
import pathlib
import shutil
import tarfile
from typing import Final

from libs.bigquery.client import Connection, connect
from libs.bigquery.jobs import query
from libs.bigquery.parameters import Typed
from libs.local.mesh.states import PROJECT
from services.orchestrator.runs.records import VERSION
from tools.image import building
from tools.image.places import OUT, ROOT, out_of, run, say

COMMIT: Final = "46248c650f981101529e6bd32ce0ae3c7cdb5f70"
"""Stands for the last release until there is one: then its tag is named here.

The first one that runs on Kubernetes without a leader that ends by a bug of its own.
"""
TAG: Final = "previous"
TREE: Final = OUT / TAG
CHART: Final = TREE / "deploy/helm/convergence"
JOURNAL: Final = ROOT / f"tests/data/journals/v{VERSION - 1}/approved.jsonl"
"""A journal as the version before wrote it: one run, which was held, approved and published."""
RUN: Final = "tenants/acme_corp/pipelines/p_bill/runs/r2"


def build() -> pathlib.Path:
    """Build the product's image of that commit; return its archive.

    The embedded BigQuery stays the present one: in a trial it holds what is to outlive the upgrade.
    """
    say(f"taking {COMMIT[:7]} out of git")
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    archive = TREE.with_suffix(".src.tar")
    run("git", "-C", ROOT, "archive", f"--output={archive}", COMMIT)
    with tarfile.open(archive) as source:
        source.extractall(TREE, filter="data")
    archive.unlink()
    building.build_of(TREE, COMMIT, ["convergence"], own_base=True, tag=TAG)
    return out_of(TREE) / "convergence.tar"


def write_journal(bigquery: str) -> None:
    """Put the older journal where no orchestrator has led yet."""
    there = Connection(PROJECT, "US", f"http://{bigquery}:9050", f"{bigquery}:9060")
    with contextlib.closing(connect(there)) as opened:
        for line in JOURNAL.read_text().splitlines():
            row = json.loads(line)
            names = ("tenant_id", "pipeline_id", "run_id")
            row |= {name: Typed("STRING", row[name]) for name in names}
            row["event_time"] = dt.datetime.fromisoformat(row["event_time"])
            row["event_date"] = dt.date.fromisoformat(row["event_date"])
            values = ", ".join(f"@{column}" for column in row)
            query(
                opened, f"INSERT INTO metadata.run_events ({', '.join(row)}) VALUES ({values})", row
            )
