"""Write modes as a page of plain Python: what readers see and receipts say, from what runs read and when."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from libs.common.money import total
from services.orchestrator.runs import records as r
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.workers.memory_workers import Item

Source = dict[str, tuple[Item, ...]]
"""Rows by object; of a report there is one."""

REPORT = "report"


def delivery_of(name: str) -> str:
    """Return the delivery whose manifest names an object: its folder; empty for one that none names."""
    return name.rpartition("/")[0]


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Row:
    """A row that readers see."""

    pipeline: str
    run: str
    source: str
    number: int
    snapshot: int
    item: Item = dataclasses.field(compare=False)

    @property
    def text(self) -> tuple[Any, ...]:
        """Everything that both warehouses can say of a row."""
        money = Decimal(self.item.money[0])
        return self.pipeline, self.run, self.source, self.number, self.snapshot, money


@dataclasses.dataclass(slots=True)
class Look:
    """What one run is about and has read by now."""

    pipeline: str
    run: str
    spec: PipelineSpec
    days: tuple[str, ...]
    reload: bool
    snapshot: int = 0
    planned: dict[str, str] = dataclasses.field(default_factory=dict)
    """Names of inputs by chunk id."""
    read: dict[str, tuple[Item, ...]] = dataclasses.field(default_factory=dict)
    """Rows by chunk id."""
    deliveries: tuple[str, ...] = ()
    """What manifests named when it planned, also those without an object."""
    approved: bool = False

    def rows(self, *, bad: bool = False) -> Iterator[Row]:
        for chunk, name in self.planned.items():
            for number, item in enumerate(self.read[chunk]):
                if item.bad == bad:
                    yield Row(self.pipeline, self.run, name, number, self.snapshot, item)

    @property
    def values(self) -> list[tuple[str, ...]]:
        """Combinations of scope values that the run replaces; a delivery is one as a whole."""
        fixed = tuple(value for _, value in self.spec.write.fixed)
        values = self.days or self.deliveries or sorted(set(self.planned.values()))
        return [(value, *fixed) for value in values]

    def value(self, row: Row) -> tuple[str, ...]:
        """Return the one of such combinations that a row lies in."""
        if self.spec.window:
            return (row.item.scope, *row.item.fixed)
        name = delivery_of(row.source) if self.deliveries else row.source
        return (name, *row.item.fixed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What a receipt must say: rows and money."""

    read: tuple[int, Decimal]
    landed: tuple[int, Decimal]
    quarantined: tuple[int, Decimal]
    outdated: tuple[int, Decimal]


@dataclasses.dataclass(slots=True)
class Model:
    """The world after some records: which run planned, read and published when; all else is computed here."""

    rows: list[Row] = dataclasses.field(default_factory=list)
    looks: dict[str, Look] = dataclasses.field(default_factory=dict)
    receipts: dict[str, Sums] = dataclasses.field(default_factory=dict)
    published: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    """Chunk by name of the inputs that each pipeline has published."""
    newest: dict[tuple[str, tuple[str, ...]], int] = dataclasses.field(default_factory=dict)
    """Snapshot of the newest look by pipeline and scope value."""

    def add(self, record: r.Record, source: Source, deliveries: Iterable[str] = ()) -> None:
        """Follow one record, with the source and what manifests named as they stood then."""
        detail = record.detail
        if isinstance(detail, r.RunCreated):
            spec = PipelineSpec.model_validate_json(detail.spec)
            name = record.run.rpartition("/")[2]
            days = tuple(_days(detail))
            self.looks[record.run] = Look(spec.pipeline, name, spec, days, detail.reload)
        elif record.run:
            self._follow(self.looks[record.run], record, source, tuple(sorted(deliveries)))

    def _follow(
        self, look: Look, record: r.Record, source: Source, deliveries: tuple[str, ...]
    ) -> None:
        match record.detail:
            case r.RunPlanning():
                look.snapshot = record.position
            case r.RunRetried(replan=True):
                look.snapshot = 0
            case r.RunPlanned() as plan:
                look.planned = {chunk.chunk_id: chunk.input_id for chunk in plan.chunks}
                look.deliveries = deliveries
                assert set(look.planned.values()) == self._wanted(look, source)
                assert set(plan.named_deliveries) == set(deliveries)
            case r.ChunkCompleted() as done:
                chunk = done.landed.chunk_id
                look.read[chunk] = readable(look.spec, look.planned[chunk], look.days, source)
            case r.RunPublishing() as publishing:
                look.approved = bool(publishing.by)
            case r.RunPublished():
                self._publish(record.run, look)

    def overtaken(self, run: str) -> bool:
        """Return whether newer looks at all scope values of a run are published."""
        look = self.looks[run]
        newest = [self.newest.get((look.pipeline, value), 0) for value in look.values]
        return bool(newest) and all(snapshot > look.snapshot for snapshot in newest)

    def _wanted(self, look: Look, source: Source) -> set[str]:
        if look.days:
            return {f"{REPORT}:{look.days[0]}/{look.days[-1]}"}
        if look.spec.write.mode == "append" and not look.reload:
            return set(source) - set(self.published.get(look.pipeline, {}))
        return set(source)

    def _publish(self, run: str, look: Look) -> None:
        lost = list(look.rows(bad=True))
        if any(Decimal(row.item.money[0]) for row in lost):
            assert look.approved, f"{run} has lost money and was not approved"
        good = list(look.rows())
        new = {"append": self._append, "replace": self._replace, "merge": self._merge}[
            look.spec.write.mode
        ](look, good)
        self.rows += new
        kept = set(map(id, new))
        self.receipts[run] = Sums(
            read=_sum([*good, *lost]),
            landed=_sum(new),
            quarantined=_sum(lost),
            outdated=_sum([row for row in good if id(row) not in kept]),
        )

    def _append(self, look: Look, good: Sequence[Row]) -> list[Row]:
        before = self.published.setdefault(look.pipeline, {})
        names = {name: chunk for chunk, name in look.planned.items()}
        known = set() if look.reload else set(before) & set(names)
        assert all(before[name] == names[name] for name in known), "other content, published twice"
        if look.reload:
            self._drop(look, lambda row: row.source in names)
        before.update({name: chunk for name, chunk in names.items() if name not in known})
        return [row for row in good if row.source not in known]

    def _replace(self, look: Look, good: Sequence[Row]) -> list[Row]:
        mine = {
            value
            for value in look.values
            if self.newest.get((look.pipeline, value), 0) <= look.snapshot
        }
        assert mine or not look.values, "a run without a newest value is superseded"
        self.newest.update({(look.pipeline, value): look.snapshot for value in mine})
        self._drop(look, lambda row: look.value(row) in mine)
        return [row for row in good if look.value(row) in mine]

    def _merge(self, look: Look, good: Sequence[Row]) -> list[Row]:
        chunks = {name: chunk for chunk, name in look.planned.items()}
        best: dict[str, Row] = {}
        for row in sorted(good, key=lambda x: (x.item.version, chunks[x.source], x.number)):
            best[row.item.key] = row
        standing = {row.item.key: row for row in self.rows if row.pipeline == look.pipeline}
        winners = [
            row
            for key, row in best.items()
            if key not in standing
            or (row.item.version, row.snapshot)
            > (standing[key].item.version, standing[key].snapshot)
        ]
        beaten = {row.item.key for row in winners}
        self._drop(look, lambda row: row.item.key in beaten)
        return winners

    def _drop(self, look: Look, gone) -> None:  # type: ignore[no-untyped-def]
        self.rows = [row for row in self.rows if row.pipeline != look.pipeline or not gone(row)]


def readable(
    spec: PipelineSpec, name: str, days: Sequence[str], source: Source
) -> tuple[Item, ...]:
    """Return the rows that a worker finds: of an object all, of a report those of its days and account."""
    if spec.window is None:
        return source[name]
    fixed = tuple(value for _, value in spec.write.fixed)
    return tuple(x for x in source.get(REPORT, ()) if x.scope in days and x.fixed == fixed)


def _days(created: r.RunCreated) -> Iterator[str]:
    day, end = created.window_start, created.window_end
    while day is not None and end is not None and day < end:
        yield day.date().isoformat()
        day += timedelta(days=1)


def _sum(rows: Iterable[Row]) -> tuple[int, Decimal]:
    found = list(rows)
    return len(found), total(Decimal(row.item.money[0]) for row in found)
