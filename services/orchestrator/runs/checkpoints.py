"""What a start needs to know of the journal before a mark, as parts that are records themselves."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final

from libs.common.names import PipelineName
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.records import CheckpointCompleted, CheckpointPart, Record, Share

PART_BYTES: Final = 512 * 1024
"""Bytes of items from which on a part is full: far below what a record may have."""

RUNS: Final = "runs"
UNTRANSFORMED: Final = "untransformed"
VERSIONS: Final = "versions"
SHARES: Final = "shares"
FORGOTTEN: Final = "forgotten"
READ_BYTES: Final = "read_bytes"

OWN: Final = (RUNS, UNTRANSFORMED, VERSIONS, SHARES, FORGOTTEN, READ_BYTES)


class FoldUnknown(ValueError):
    """A checkpoint has the state of a fold that this version does not have."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A run whose records before the mark are read: how many they are, and the day of the first."""

    record_count: int
    begun: date


def parts_of(ledger: Ledger, part_bytes: int = PART_BYTES) -> Iterator[CheckpointPart]:
    """Yield a checkpoint of the present state: all parts, each with as many items as fit."""
    for fold, items in itertools.groupby(_items(ledger), key=lambda pair: pair[0]):
        held: list[str] = []
        size = 0
        for _, item in items:
            if held and size + len(item.encode()) > part_bytes:
                yield CheckpointPart(mark=ledger.position, fold=fold, items=tuple(held))
                held, size = [], 0
            held.append(item)
            size += len(item.encode())
        yield CheckpointPart(mark=ledger.position, fold=fold, items=tuple(held))


def _items(ledger: Ledger) -> Iterator[tuple[str, str]]:
    for name, records in ledger.history.items():
        yield RUNS, _text([str(name), len(records), records[0].time.date().isoformat()])
    for (pipeline, transform), pending in ledger.untransformed.items():
        for value, position in pending.items():
            yield UNTRANSFORMED, _text([str(pipeline), transform, value, position])
    for epoch, version in ledger.versions.items():
        yield VERSIONS, _text([epoch, version])
    for tenant, share in ledger.shares.items():
        yield SHARES, _text([tenant, share.model_dump(mode="json")])
    yield FORGOTTEN, _text(ledger.forgotten)
    for tenant, (day, read) in ledger.read_bytes.items():
        yield READ_BYTES, _text([tenant, day.isoformat(), read])
    for state, fold in ledger.folds.items():
        yield from ((state, item) for item in fold.snapshot())


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def newest_mark(records: Sequence[Record]) -> int:
    """Return the mark of the last checkpoint whose parts are all among `records`; 0 without one."""
    found = (x.detail.mark for x in reversed(records) if isinstance(x.detail, CheckpointCompleted))
    return next(found, 0)


def parts_in(records: Iterable[Record], mark: int) -> list[CheckpointPart]:
    """Return the parts of the checkpoint of a mark."""
    return [
        x.detail for x in records if isinstance(x.detail, CheckpointPart) and x.detail.mark == mark
    ]


def kept_runs(parts: Iterable[CheckpointPart]) -> dict[str, Kept]:
    """Return the runs, by name, whose records before the mark a start reads."""
    found = (json.loads(item) for part in parts if part.fold == RUNS for item in part.items)
    return {
        name: Kept(record_count=count, begun=date.fromisoformat(begun))
        for name, count, begun in found
    }


def versions_in(parts: Iterable[CheckpointPart]) -> dict[int, int]:
    """Return the version of the records by the first epoch that wrote it."""
    return dict(json.loads(item) for part in parts if part.fold == VERSIONS for item in part.items)


def restore(ledger: Ledger, parts: Sequence[CheckpointPart]) -> None:
    """Make a ledger that has the records of the kept runs up to the mark what it was at the mark.

    Of what its runs have published it knows nothing but of those: the rest is recalled.

    Raises:
        FoldUnknown: a part is of a fold that the ledger does not have; nothing has changed.
    """
    found: Mapping[str, list[str]] = {name: [] for name in (*OWN, *ledger.folds)}
    for part in parts:
        if part.fold not in found:
            raise FoldUnknown(f"unknown state of {part.fold!r}")
        found[part.fold].extend(part.items)
    ledger.untransformed.clear()
    for pipeline, transform, value, position in map(json.loads, found[UNTRANSFORMED]):
        key = (PipelineName.parse(pipeline), transform)
        ledger.untransformed.setdefault(key, {})[tuple(value)] = position
    ledger.versions = versions_in(parts)
    shares = map(json.loads, found[SHARES])
    ledger.shares = {tenant: Share.model_validate(share) for tenant, share in shares}
    ledger.forgotten = max((int(item) for item in found[FORGOTTEN]), default=0)
    ledger.read_bytes = {
        tenant: (date.fromisoformat(day), read)
        for tenant, day, read in map(json.loads, found[READ_BYTES])
    }
    for name, fold in ledger.folds.items():
        fold.restore(found[name])
    ledger.position, ledger.recalled = parts[0].mark, set()


def needed(records: Sequence[Record]) -> list[Record]:
    """Return what a start reads of a whole journal: kept runs' records, and all after the mark."""
    mark = newest_mark(records)
    kept = kept_runs(parts_in(records, mark)) if mark else {}
    return [x for x in records if x.position > mark or x.run in kept]
