"""What must hold at every moment and at the end, by the ids of docs/invariants.md."""

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import PipelineSpec
from tests.sim.books import Books
from tests.sim.fires import days
from tests.sim.neighbours import SimJournals, SimWarehouse
from tests.sim.plans import Plans, Wrong
from tests.sim.runs import FINAL, STATES, Told
from tests.unit.orchestrator.model.story import sums_of

FAILURES: Final = frozenset(
    {
        "CHUNK_ATTEMPTS_EXHAUSTED",
        "HOLD_NOT_POSSIBLE",
        "NO_WORKER",
        "PUBLISH_FAILED",
        "QUALITY_UNAVAILABLE",
        "RUN_TIMED_OUT",
        "SOURCE_CHANGED",
        "SOURCE_FORBIDDEN",
        "WAREHOUSE_UNAVAILABLE",
    }
)
"""Why a run of these stories may fail. That counts disagree or that something was unexpected is no reason."""


class Broken(Exception):
    """A promise that was not kept, by its id."""

    def __init__(self, promise: str, text: str) -> None:
        super().__init__(f"{promise}: {text}")
        self.promise = promise


@dataclasses.dataclass(slots=True)
class Checks:
    """Sees each record when it is stored, each answer when it is given, and the tables after each effect."""

    journals: SimJournals
    warehouse: SimWarehouse
    books: dict[str, Books]
    fail: Callable[[BaseException], None]
    tell: Callable[[str], None]
    runs: dict[str, Told] = dataclasses.field(default_factory=dict)
    requests: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    acknowledged: list[tuple[str, int, str]] = dataclasses.field(default_factory=list)
    plans: Plans = dataclasses.field(default_factory=Plans)
    answered: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    """What callers were told of schedules and backfills, and the position that they were told it at."""
    seen: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    """Rows of each target as a reader saw them last."""
    looks: int = 0
    """How often a reader saw something new."""
    waived: int = 0
    """Tables and rows that are left, and that a late copy or a former leader has made."""
    _epoch: int = 0
    _position: int = 0

    def broken(self, promise: str, text: str) -> None:
        self.fail(Broken(promise, text))

    def stored(self, record: r.Record) -> None:
        """A record was stored."""
        self.tell(
            f"      journal {record.position} (epoch {record.epoch}) {record.run} {_said(record)}"
        )
        if record.epoch < self._epoch:
            self.broken("one-writer", f"epoch {record.epoch} wrote after epoch {self._epoch}")
        if record.position != self._position + 1:
            self.broken("one-writer", f"position {record.position} after {self._position}")
        self._epoch, self._position = record.epoch, record.position
        try:
            self.plans.follow(record, self.runs)
        except Wrong as error:
            self.broken(error.promise, f"{record.detail}: {error}")
        if record.run:
            self._follow(record)

    def _follow(self, record: r.Record) -> None:
        detail = record.detail
        if isinstance(detail, r.RunCreated):
            spec = PipelineSpec.model_validate_json(detail.spec)
            asked = spec.tenant, detail.request_id
            if record.run in self.runs or asked in self.requests:
                self.broken("exactly-once", f"{record.run}: {asked} is created twice")
            self.requests.add(asked)
            self.runs[record.run] = Told(
                spec.tenant,
                spec,
                self.warehouse.target(spec),
                days=days(detail),
                of_backfill=detail.of_backfill is not None,
            )
        run = self.runs[record.run]
        if run.state in FINAL:
            self.broken("one-outcome", f"{record.run} is {run.state}, then {detail.type}")
        self._check_move(record, run)
        run.state = STATES.get(type(detail), run.state)
        run.positions.append(record.position)
        try:
            self.books[run.tenant].follow(record)
        except (AssertionError, KeyError) as error:
            self.broken("exactly-once", f"{record.run} {detail.type}: {error}")
        if isinstance(detail, r.RunPublished):
            self._visible(record.run, run)
        elif isinstance(detail, r.RunFailed | r.RunCancelled):
            self._explain(run.table)

    def _check_move(self, record: r.Record, run: Told) -> None:
        match record.detail:
            case r.RunPublishing():
                others = [
                    name
                    for name, other in self.runs.items()
                    if other.state == "PUBLISHING" and other.table == run.table
                ]
                if others:
                    self.broken("newest-wins", f"{record.run} and {others} publish to {run.table}")
            case r.RunPublished():
                if run.published or run.state != "PUBLISHING":
                    self.broken("one-outcome", f"{record.run} is published, and was {run.state}")
                run.published = True
            case r.RunRetried(attempt=attempt):
                run.attempt = attempt
            case r.RunFailed(failure=failure):
                if failure.reason not in FAILURES:
                    self.broken("allowed-rest", f"{record.run} failed: {failure}")
            case r.RunCancelled() | r.RunSuperseded():
                if run.published:
                    self.broken("one-outcome", f"{record.run} was published")
            case _:
                pass

    def _visible(self, name: str, run: Told) -> None:
        """What is recorded as published is what readers see, all of it."""
        wanted, found = self.books[run.tenant].texts(), self.rows(run.table)
        if wanted != found:
            self.broken("exactly-once", f"{name} is published; {_differs(wanted, found)}")

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return what a reader can tell of a table's rows, sorted."""
        return sorted(
            (x.pipeline, x.run, x.source, x.number, x.snapshot, x.money[0])
            for x in self.warehouse.tables.get(table, [])
        )

    def look(self) -> None:
        """A reader looks at every target: all of a publication is there, or nothing of it."""
        for table in {run.table: None for run in self.runs.values()}:
            now = self.warehouse.tables.get(table, [])
            if now == self.seen.get(table, []):
                continue
            self.seen[table] = list(now)
            self.looks += 1
            self._explain(table)

    def _explain(self, table: str) -> None:
        tenant = next(run.tenant for run in self.runs.values() if run.table == table)
        books, found = self.books[tenant], self.rows(table)
        publishing = [
            name
            for name, run in self.runs.items()
            if run.table == table and run.state == "PUBLISHING"
        ]
        try:
            allowed = [books.texts(), *(books.after(name) for name in publishing)]
        except (AssertionError, KeyError) as error:
            self.broken("newest-wins", f"{publishing}: {error}")
            return
        if found in allowed:
            self.tell(f"      readers see {len(found)} rows of {table}")
            return
        promise = "all-or-nothing" if publishing else "old-data-stays"
        text = f"{table} changed while {publishing or 'no run'} publishes; "
        self.broken(promise, text + _differs(allowed[-1], found))

    def acknowledge(self, what: str, run: Run) -> None:
        """A caller was answered with a run: everything that the answer says is durable."""
        self.acknowledged.append((str(run.name), run.position, what))
        self._durable(str(run.name), run.position, what)

    def _durable(self, name: str, position: int, what: str) -> None:
        records = self.journals.records
        if position > len(records) or records[position - 1].run != name:
            text = f"{what} of {name} was answered at position {position}, which is not stored"
            self.broken("acknowledged-is-durable", text)

    def answer(self, what: str, position: int) -> None:
        """A caller was answered with a schedule or a backfill: everything that it says is durable."""
        self.answered.append((what, position))
        if position > len(self.journals.records):
            text = f"{what} was answered at position {position}, which is not stored"
            self.broken("acknowledged-is-durable", text)

    def finish(self, leader: Ledger) -> None:
        """Everything rests: what is left, and what the leader believes."""
        ledger = Ledger()
        for record in self.journals.records:
            ledger.add(record)
        for name, position, what in self.acknowledged:
            self._durable(name, position, what)
        if late := [one for one in self.answered if one[1] > len(self.journals.records)]:
            self.broken("acknowledged-is-durable", f"{late} are not stored")
        for promise, text in self.plans.differ(leader):
            self.broken(promise, text)
        for run in ledger.runs.values():
            self._rests(run, leader)
        for tenant in self.books:
            self._quarantine(tenant)
        self._silver()
        for table in {run.table: None for run in self.runs.values()}:
            tenant = next(run.tenant for run in self.runs.values() if run.table == table)
            if self.rows(table) != self.books[tenant].texts():
                text = _differs(self.books[tenant].texts(), self.rows(table))
                self.broken("exactly-once", f"at the end, {text}")

    def _rests(self, run: Run, leader: Ledger) -> None:
        name, told = str(run.name), self.runs[str(run.name)]
        books = self.books[told.tenant]
        if run.state != told.state or leader.runs[run.name].state is not run.state:
            believed = leader.runs[run.name].state
            self.broken("one-writer", f"{name} is {told.state}, folded {run.state}, led {believed}")
        if told.state not in FINAL:
            self.broken("allowed-rest", f"{name} stays {told.state}")
        if told.state == "SUPERSEDED" and not books.overtaken(name):
            self.broken("newest-wins", f"{name} is superseded, and is the newest look")
        receipt = receipt_of(run)
        if (receipt is not None) != (name in books.receipts):
            self.broken("nothing-silent", f"{name} is {told.state}, receipt: {receipt}")
        if receipt is not None and sums_of(run) != books.receipts[name]:
            text = f"receipt of {name}: {sums_of(run)} instead of {books.receipts[name]}"
            self.broken("exact-money", text)
        staging = self.warehouse.staging(run)
        if staging in self.warehouse.tables:
            self._left(name, "staging", f"{name} is {told.state} and has staging")

    def _left(self, name: str, what: str, text: str) -> None:
        """Something is left of a run: broken, unless it was made after the run was tidied up."""
        if (name, what) in self.warehouse.late:
            self.waived += 1
        else:
            self.broken("no-leak", text)

    def _quarantine(self, tenant: str) -> None:
        """Rows that did not land are in quarantine once; of runs that published nothing, none are."""
        runs = {name: run for name, run in self.runs.items() if run.tenant == tenant}
        for name, told in runs.items():
            table = self.warehouse.quarantine(told.spec)
            run = name.rpartition("/")[2]
            rows = self.warehouse.tables.get(table, [])
            found = sorted((row.source, row.number) for row in rows if row.run == run)
            wanted = self.books[tenant].bad_rows(name) if told.published else []
            if found != wanted and not (self._overtaken(name, runs) and _part(found, wanted)):
                text = f"{name} is {told.state}; quarantined {found} instead of {wanted}"
                if told.published:
                    self.broken("exactly-once", text)
                else:
                    self._left(name, "quarantine", text)

    def _overtaken(self, name: str, runs: dict[str, Told]) -> bool:
        """Return whether a newer look, which deletes older quarantine, was published since."""
        mine = runs[name]
        if mine.spec.write.mode != "replace":
            return False
        snapshots = self.books[mine.tenant].looks
        return any(
            other.published
            and other.spec.pipeline == mine.spec.pipeline
            and snapshots[one].snapshot > snapshots[name].snapshot
            for one, other in runs.items()
        )

    def _silver(self) -> None:
        """Silver holds what raw holds, where transforms copy it."""
        for told in self.runs.values():
            raw = self.rows(told.table)
            for transform in told.spec.transforms if told.published else ():
                silver = self.rows(transform.target.table_id(told.tenant))
                if silver != raw and told.spec.write.mode != "merge":
                    self.broken(
                        "old-data-stays", f"silver of {told.table}; {_differs(raw, silver)}"
                    )


def _part(found: list[tuple[str, int]], wanted: list[tuple[str, int]]) -> bool:
    return len(set(found)) == len(found) and set(found) <= set(wanted)


def _differs(wanted: list[Any], found: list[Any]) -> str:
    missing = [row for row in wanted if row not in found]
    surplus = [row for row in found if row not in wanted]
    return f"missing {missing}, surplus {surplus}, {len(found)} rows instead of {len(wanted)}"


def _said(record: r.Record) -> str:
    detail = record.detail
    match detail:
        case r.RunFailed(failure=failure) | r.TransformFailed(failure=failure):
            return f"{detail.type}: {failure.reason} {failure.message}"
        case r.ChunkCompleted(landed=landed):
            return f"{detail.type} {landed.chunk_id} try {landed.chunk_attempt}"
        case r.RunHeld(reasons=reasons):
            return f"{detail.type}: {'; '.join(reasons)}"
        case _:
            return detail.type
