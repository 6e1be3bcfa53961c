"""What pipelines have published, as facts that outlive their runs, and how the ledger forgets and recalls."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, Literal

from libs.common.names import BackfillName
from services.orchestrator.runs.ledger import (
    Delivered,
    Key,
    Ledger,
    Look,
    beside,
    columns_of,
    delivered_by,
    key_of,
    values,
)
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import FINAL

Kind = Literal["scope", "input", "delivery"]

SCOPE: Final = "scope"
INPUT: Final = "input"
DELIVERY: Final = "delivery"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that is published; of two about the same, the one of the higher position holds.

    kind: What it is about: a combination of scope values, an input, or a delivery.
    name: An input's id, or JSON: [columns, values] of a scope, [delivery, fixed columns].
    content: An input's content hash, a delivery's objects as JSON; else empty.
    snapshot: Of the look that published it.
    run: Id of the run.
    position: Of the record that the run was published by.
    """

    kind: Kind
    name: str
    content: str = ""
    snapshot: int
    run: str
    position: int


def facts_of(ledger: Ledger, run: Run) -> Iterator[Fact]:
    """Yield what a run has published; nothing where it has not."""
    position = ledger.published_at.get(run.name)
    if position is None:
        return
    assert run.publishing is not None
    assert run.snapshot is not None
    mine = Look(snapshot=run.snapshot, run=run.name.run)
    columns = columns_of(run.publishing.scope)
    for value in values(run.publishing.scope):
        yield _fact(SCOPE, _text([columns, value]), mine, position)
    for name, content in run.publishing.inputs:
        yield _fact(INPUT, name, mine, position, content)
    fixed = run.spec.write.fixed
    entries = ledger.delivered.get(key_of(run), {})
    for delivery in delivered_by(run):
        entry = entries[delivery][fixed]
        yield _fact(DELIVERY, _text([delivery, fixed]), entry.look, position, _text(entry.objects))


def _fact(kind: Kind, name: str, look: Look, position: int, content: str = "") -> Fact:
    return Fact(
        kind=kind,
        name=name,
        content=content,
        snapshot=look.snapshot,
        run=look.run,
        position=position,
    )


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def forgettable(
    ledger: Ledger, *, ended_before: datetime, written: Callable[[Run], bool]
) -> list[Run]:
    """Return the runs that may leave the ledger.

    They are final, ended before a time, are `written` to where they are recalled from, and no open
    backfill counts them. Of those that published to one table none is kept that did so earlier: what the ledger still knows of the
    table is newer than all that it has forgotten.
    """
    found: list[Run] = []
    staying: set[Key] = set()
    for run in sorted(ledger.runs.values(), key=lambda x: ledger.published_at.get(x.name, 0)):
        may = run.state in FINAL and run.update_time < ended_before
        may = may and written(run) and not _counted(ledger, run)
        publishes = run.name in ledger.published_at
        if publishes and key_of(run) in staying:
            continue
        if may:
            found.append(run)
        elif publishes:
            staying.add(key_of(run))
    return found


def _counted(ledger: Ledger, run: Run) -> bool:
    of = run.created.of_backfill
    known = ledger.backfills.by_name.get(BackfillName.parse(of.backfill)) if of else None
    return known is not None and not known.final


def forget(ledger: Ledger, runs: Iterable[Run]) -> None:
    """Let runs leave, and with the last run of a pipeline's table what is published there."""
    if ledger.recalled is None:
        ledger.recalled = {*ledger.inputs, *ledger.looks, *ledger.delivered}
    for run in runs:
        ledger.forgotten_count += 1
        ledger.forgotten = max(ledger.forgotten, ledger.begun(run))
        ledger.drop(run)
    staying = {key_of(run) for run in ledger.runs.values()}
    known = {*ledger.inputs, *ledger.looks, *ledger.delivered, *ledger.recalled}
    for key in known - staying:
        for published in (ledger.inputs, ledger.publishers, ledger.looks, ledger.delivered):
            published.pop(key, None)
        ledger.recalled.discard(key)


def recall(ledger: Ledger, key: Key, facts: Iterable[Fact]) -> None:
    """Know again what a pipeline has published to a table; what the ledger has is newer."""
    assert ledger.recalled is not None, "nothing was forgotten"
    if key in ledger.recalled:
        return
    for fact in facts:
        look = Look(snapshot=fact.snapshot, run=fact.run)
        if fact.kind == INPUT:
            ledger.inputs.setdefault(key, {}).setdefault(fact.name, fact.content)
            ledger.publishers.setdefault(key, {}).setdefault(fact.name, fact.run)
        elif fact.kind == SCOPE:
            columns, value = json.loads(fact.name)
            looks = ledger.looks.setdefault(key, {}).setdefault(tuple(columns), {})
            looks.setdefault(tuple(value), look)
        else:
            delivery, fixed = json.loads(fact.name)
            entries = ledger.delivered.setdefault(key, {}).setdefault(delivery, {})
            columns = tuple((name, text) for name, text in fixed)
            known = Delivered(look=look, objects=tuple(json.loads(fact.content)))
            newer = entries.get(columns, known)
            entries[columns] = beside(known, newer) if newer.adds else newer
    ledger.recalled.add(key)
