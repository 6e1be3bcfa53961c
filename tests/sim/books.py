"""The plain model, told what each try of a worker has read and what the source was when."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

from services.orchestrator.runs import records as r
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.model.plain import REPORT, Look, Model, Source


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """A source between two of its changes."""

    names: frozenset[str]
    deliveries: tuple[str, ...]


@dataclasses.dataclass(slots=True)
class Books(Model):
    """What one tenant's table must hold, from records that are journaled and rows that workers read.

    Unlike in a story of one thing at a time, the source may change between a look at it and the
    record of the look: rows are those that the named try has read, plans those of any version.
    """

    tries: dict[str, tuple[Item, ...]] = dataclasses.field(default_factory=dict)
    """What was read by the try that wrote a stream, good rows and bad."""
    versions: list[Version] = dataclasses.field(default_factory=list)

    def changed(self, source: dict[str, list[Item]], deliveries: Sequence[str]) -> None:
        """Note what the source is from now on."""
        self.versions.append(Version(frozenset(source), tuple(sorted(deliveries))))

    def follow(self, record: r.Record) -> None:
        """Follow one record. Raises AssertionError where it cannot be right."""
        detail = record.detail
        if record.run and isinstance(detail, r.RunPlanned):
            look = self.looks[record.run]
            look.planned = {chunk.chunk_id: chunk.input_id for chunk in detail.chunks}
            look.deliveries = tuple(sorted(detail.named_deliveries))
            self._check_plan(look, detail)
        elif record.run and isinstance(detail, r.ChunkCompleted):
            landed = detail.landed
            stream = landed.stream or landed.quarantine_stream
            read = self.tries[stream] if stream else ()
            assert len(read) == landed.read_row_count, "not what the worker has read"
            self.looks[record.run].read[landed.chunk_id] = read
        else:
            self.add(record, cast("Source", {}))

    def _check_plan(self, look: Look, plan: r.RunPlanned) -> None:
        """What is read and what was published before are together all that the source once was."""
        known, names = set(plan.known_inputs), set(look.planned.values())
        if look.days:
            assert names == {f"{REPORT}:{look.days[0]}/{look.days[-1]}"}, "another report"
            return
        once = look.spec.write.mode == "append" and not look.reload
        published = set(self.published.get(look.pipeline, {})) if once else set()
        assert known <= published, f"{known - published} were never published"
        assert not known & names, "read and left out"
        was = Version(frozenset(known | names), look.deliveries)
        assert was in self.versions, f"the source never had {sorted(was.names)}"

    def after(self, run: str) -> list[tuple[Any, ...]]:
        """Return what readers must see when a run is published now."""
        then = Books(
            rows=list(self.rows),
            looks=self.looks,
            published={key: dict(value) for key, value in self.published.items()},
            newest=dict(self.newest),
        )
        then._publish(run, self.looks[run])
        return then.texts()

    def texts(self) -> list[tuple[Any, ...]]:
        """Return everything that a reader can tell of the rows, sorted."""
        return sorted(row.text for row in self.rows)

    def bad_rows(self, run: str) -> list[tuple[str, int]]:
        """Return source and number of the rows that a run has quarantined, sorted."""
        look = self.looks[run]
        if not look.planned or not set(look.planned) <= set(look.read):
            return []
        return sorted((row.source, row.number) for row in look.rows(bad=True))
