"""What two ledgers have in common that read the same journal in two ways."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from services.orchestrator.archive.archive import MemoryArchive
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournal
from services.orchestrator.runs.checkpoints import needed
from services.orchestrator.runs.facts import recall
from services.orchestrator.runs.ledger import Key, Ledger, key_of
from services.orchestrator.runs.records import Record
from services.orchestrator.runs.states import FINAL
from tests.unit.orchestrator.conductor.world import NOON


def loaded(records: Sequence[Record]) -> Ledger:
    """Read records as a start does."""
    history = History(MemoryJournal(), epoch=99, clock=lambda: NOON, new_id=lambda: "x")
    history.load(records)
    return history.ledger


def whole(records: Iterable[Record]) -> Ledger:
    """Fold a whole journal."""
    ledger = Ledger()
    for record in records:
        ledger.add(record)
    return ledger


async def same(records: Sequence[Record]) -> Ledger:
    """Expect that a start which reads from the last checkpoint knows what a full replay knows.

    Returns:
        The ledger of the short start, with all that was published recalled.
    """
    full, short = whole(records), loaded(needed(records))
    archive = MemoryArchive(lambda: records)
    keys = {key_of(run) for run in full.runs.values()}
    for key in keys:
        if not short.knows(key):
            recall(short, key, await archive.published(key))
    left = full.runs.keys() - short.runs.keys()
    assert all(full.runs[name].state in FINAL for name in left)
    assert short.runs == {name: run for name, run in full.runs.items() if name not in left}
    assert short.history == {name: x for name, x in full.history.items() if name not in left}
    assert short.requests == {key: name for key, name in full.requests.items() if name not in left}
    assert short.published_at == {k: v for k, v in full.published_at.items() if k not in left}
    for field in ("position", "versions", "shares", "since", "mark", "backfills", "read_bytes"):
        assert getattr(short, field) == getattr(full, field), field
    assert pending(short) == pending(full)
    assert short.folds.keys() == full.folds.keys()
    for name, fold in full.folds.items():
        assert sorted(short.folds[name].snapshot()) == sorted(fold.snapshot()), name
    for index in ("live_runs", "_begun", "_pending"):
        assert filled(short, index) == filled(full, index), index
    for key in keys:
        assert published(short, key) == published(full, key)
    return short


def filled(ledger: Ledger, index: str) -> dict[str, list[Any]]:
    """Return an index by tenant, those without runs left out; live runs are in order, sets are not."""
    found = getattr(ledger, index).items()
    return {
        tenant: list(runs) if index == "live_runs" else sorted(runs)
        for tenant, runs in found
        if runs
    }


def pending(ledger: Ledger) -> dict[Any, Any]:
    return {key: values for key, values in ledger.untransformed.items() if values}


def published(ledger: Ledger, key: Key) -> tuple[Any, ...]:
    """Return all that is known of what a pipeline has published to a table."""
    delivered = {
        (delivery, fixed): dataclasses.replace(entry, adds=False)
        for delivery, entries in ledger.delivered.get(key, {}).items()
        for fixed, entry in entries.items()
    }
    return (
        ledger.looks.get(key, {}),
        ledger.inputs.get(key, {}),
        ledger.publishers.get(key, {}),
        delivered,
    )
