"""Journals that are kept below `tests/data/journals`: how they are read, and what they mean."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.receipts import money_totals
from services.orchestrator.runs.records import VERSION
from tools.journal_doc import fields, kinds

FOLDER = Path(__file__).resolve().parents[3] / "data" / "journals"
SUMS = FOLDER / "SHA256SUMS"


def journals() -> list[Path]:
    """Return the files of all journals; a folder has those that one version wrote."""
    return sorted(FOLDER.glob("v*/*.jsonl"))


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a journal as BigQuery gives them."""
    return [read(line) for line in file.read_text().splitlines()]


def read(line: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line)
    return row | {"event_time": datetime.fromisoformat(row["event_time"])}


def written(row: dict[str, Any]) -> str:
    """Return a row as a line: columns in their order, times and dates in ISO form."""
    return json.dumps(row, default=lambda value: value.isoformat(), ensure_ascii=False)


def states_of(file: Path) -> Path:
    """Return the file that says what a journal means."""
    return file.with_suffix(".states.json")


def sums() -> Iterator[str]:
    """Yield a line for each file of earlier versions, as `sha256sum` writes it."""
    for file in sorted(file for file in FOLDER.glob("v*/*") if file.is_file()):
        if file.parent.name != f"v{VERSION}":
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            yield f"{digest}  {file.relative_to(FOLDER)}"


def meaning(ledger: Ledger) -> dict[str, Any]:
    """Return what a journal says, as JSON: what is decided by it from here on."""
    runs = {
        str(name): {
            "state": run.state,
            "attempt": run.attempt,
            "position": run.position,
            "snapshot": run.snapshot,
            "scope": run.scope,
            "chunks": len(run.plan.chunks) if run.plan else None,
            "landed": {key: done.landed_row_count for key, done in run.landed.items()},
            "money": {
                money.column: [f"{money.read:f}", f"{money.landed:f}", f"{money.quarantined:f}"]
                for money in money_totals(run)
            },
            "held": run.held.reasons if run.held else None,
            "job": run.publishing.job_id if run.publishing else None,
            "published": run.published is not None,
            "transformed": {key: done.row_count for key, done in run.transforms.items()},
            "failure": run.failure.reason if run.failure else None,
            "cancelled_by": run.cancel.by if run.cancel else None,
        }
        for name, run in sorted(ledger.runs.items(), key=str)
    }
    found = {
        "position": ledger.position,
        "runs": runs,
        "requests": sorted((tenant, key) for tenant, key in ledger.requests),
        "inputs": {f"{key[0]} {key[1]}": sorted(known) for key, known in ledger.inputs.items()},
        "looks": [
            [table, columns, value, look.snapshot]
            for (_, table), by_columns in ledger.looks.items()
            for columns, looks in by_columns.items()
            for value, look in looks.items()
        ],
        "untransformed": [
            [transform, sorted(values)] for (_, transform), values in ledger.untransformed.items()
        ],
    }
    if ledger.backfills.by_name:
        found["backfills"] = _backfills(ledger)
    if ledger.schedules.by_pipeline:
        found["schedules"] = [json.loads(one) for one in ledger.schedules.snapshot()]
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _backfills(ledger: Ledger) -> dict[str, object]:
    said = [json.loads(one) for one in ledger.backfills.snapshot()]
    return {
        "backfills": [one for kind, one in said if kind == "backfills"],
        "runs": dict(one for kind, one in said if kind == "runs"),
    }


def fields_of(version: int) -> Path:
    """Return the file that lists the fields of all records and parts that a version knew."""
    return FOLDER / f"v{version}" / "fields.txt"


def fields_now() -> list[str]:
    """Return every field of every record and part as this version has it: type and default."""
    known = {name: list(fields(kind)) for name, kind in kinds().items()}
    return sorted([*known, *(f"{name} {field}" for name, own in known.items() for field in own)])
