"""A warehouse in memory, with dials. Statements are JSON that says what the real ones would do."""

import asyncio
import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from libs.common.errors import NotFound, Unavailable
from libs.common.money import total
from services.orchestrator.runs.ledger import values
from services.orchestrator.runs.records import Landed, RunPublishing, Scope, TransformStarted
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import ColumnSpec, PipelineSpec, TransformSpec
from services.orchestrator.warehouse.statements import money_columns
from services.orchestrator.warehouse.warehouse import (
    Counted,
    KeyNotUnique,
    PublishFailed,
    SchemaChanged,
    StagedTransform,
)

K = TypeVar("K", bound=Hashable)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row as far as publishing cares: who wrote it, its scope value, its money in schema order."""

    pipeline: str
    run: str
    chunk: str
    attempt: int
    number: int
    scope: str
    source: str = ""
    snapshot: int = 0
    money: tuple[Decimal, ...] = ()
    key: str = ""
    version: int = 0
    fixed: tuple[str, ...] = ()
    """Its values of the scope's further columns."""


class Lost(Unavailable):
    """A dial: the call failed, before or after its effect."""

    reason = "WAREHOUSE_UNAVAILABLE"


@dataclasses.dataclass(slots=True)
class MemoryWarehouse:
    """Tables and streams by name.

    Dials: a method named in `fail` raises before its effect, in `lose` after it, as many times as
    the number says; `errors` are raised by the method named, one a call, before its effect;
    `broken_jobs` are ids whose statement fails for good; streams in `gone` ended.
    """

    tables: dict[str, list[Row]] = dataclasses.field(default_factory=dict)
    schemas: dict[str, dict[str, ColumnSpec]] = dataclasses.field(default_factory=dict)
    """Columns of targets by name, lineage left out."""
    expirations: dict[str, datetime] = dataclasses.field(default_factory=dict)
    """When staging tables would be dropped, by name; nobody drops them here."""
    streams: dict[str, list[Row]] = dataclasses.field(default_factory=dict)
    committed: dict[str, str] = dataclasses.field(default_factory=dict)
    jobs: dict[str, bool] = dataclasses.field(default_factory=dict)
    gone: set[str] = dataclasses.field(default_factory=set)
    fail: dict[str, int] = dataclasses.field(default_factory=dict)
    lose: dict[str, int] = dataclasses.field(default_factory=dict)
    errors: dict[str, list[Exception]] = dataclasses.field(default_factory=dict)
    broken_jobs: set[str] = dataclasses.field(default_factory=set)
    broken_transforms: set[str] = dataclasses.field(default_factory=set)
    calls: list[str] = dataclasses.field(default_factory=list)
    stages: list[tuple[str, Scope]] = dataclasses.field(default_factory=list)
    """Job id and scope of every transform staged, in order."""
    results: dict[str, list[Row]] = dataclasses.field(default_factory=dict)
    """What a transform's job found: a job runs once, whoever asks again."""

    async def _before(self, name: str) -> None:
        """Let others go first, as a call over the network does."""
        self.calls.append(name)
        await asyncio.sleep(0)
        if self.errors.get(name):
            raise self.errors[name].pop(0)
        self._dial(self.fail, name)

    def _after(self, name: str) -> None:
        self._dial(self.lose, name)

    @staticmethod
    def _dial(dials: dict[str, int], name: str) -> None:
        if dials.get(name, 0):
            dials[name] -= 1
            raise Lost(f"{name}: a dial")

    def target(self, spec: PipelineSpec) -> str:
        return f"memory.{spec.target.table_id(spec.tenant)}"

    def quarantine(self, spec: PipelineSpec) -> str:
        return f"{self.target(spec)}__quarantine"

    def staging(self, run: Run) -> str:
        return self._stagings(run)[-1]

    @staticmethod
    def _stagings(run: Run) -> list[str]:
        return [f"memory.{run.name.tenant}_staging.{name}" for name in run.staging_names]

    async def check(self, spec: PipelineSpec) -> None:
        await self._before("check")

    async def columns(self, spec: PipelineSpec) -> tuple[ColumnSpec, ...]:
        await self._before("columns")
        return tuple(self.schemas.get(self.target(spec), {}).values())

    async def check_columns(self, run: Run) -> None:
        await self._before("check_columns")
        for column in self._missing(run.published_spec):
            if column.name not in run.new_columns:
                name = self.target(run.spec)
                text = f"{name}: column {column.name} is gone since the run was staged"
                raise SchemaChanged(text, table=name, column=column.name)

    async def add_columns(self, run: Run) -> None:
        await self._before("add_columns")
        target = self.schemas[self.target(run.spec)]
        target.update({column.name: column for column in self._missing(run.published_spec)})
        self._after("add_columns")

    def _missing(self, spec: PipelineSpec) -> list[ColumnSpec]:
        """Return the columns to add; raise SchemaChanged."""
        name = self.target(spec)
        found = self.schemas[name]
        for column in spec.columns:
            old = found.get(column.name)
            if old is not None and (old.type, old.mode) != (column.type, column.mode):
                text = f"{name}: column {column.name} is {old.type} {old.mode}"
                raise SchemaChanged(text, table=name, column=column.name)
            if old is None and column.mode == "REQUIRED":
                text = f"{name}: it lacks column {column.name}, which is REQUIRED"
                raise SchemaChanged(text, table=name, column=column.name)
        return [column for column in spec.columns if column.name not in found]

    async def prepare(self, run: Run, *, staging: bool, expire_time: datetime) -> None:
        await self._before("prepare")
        declared = {column.name: column for column in run.spec.columns}
        self.schemas.setdefault(self.target(run.spec), declared)
        self._missing(run.spec)
        names = [self.target(run.spec), self.quarantine(run.spec)]
        for name in [*names, *([self.staging(run)] if staging else [])]:
            self.tables.setdefault(name, [])
        if staging:
            self.expirations[self.staging(run)] = expire_time
        self._after("prepare")

    async def keep_staging(self, run: Run, *, expire_time: datetime) -> None:
        await self._before("keep_staging")
        self._staged(run)
        self.expirations[self.staging(run)] = expire_time

    def _staged(self, run: Run) -> list[Row]:
        """Return the rows of a run's staging table. Raises NotFound: it was dropped."""
        try:
            return self.tables[self.staging(run)]
        except KeyError:
            raise NotFound(f"no table {self.staging(run)}", reason="TABLE_NOT_FOUND") from None

    def _commit(self, table: str, names: Iterable[str]) -> None:
        for name in names:
            if name in self.streams and name not in self.gone and name not in self.committed:
                self.committed[name] = table
                self.tables.setdefault(table, []).extend(self.streams[name])

    async def commit_staged(self, run: Run, done: Sequence[Landed]) -> None:
        await self._before("commit_staged")
        self._commit(self.staging(run), [landed.stream for landed in done])
        self._after("commit_staged")

    async def commit_quarantine(self, run: Run, done: Sequence[Landed]) -> None:
        await self._before("commit_quarantine")
        self._commit(self.quarantine(run.spec), [landed.quarantine_stream for landed in done])
        self._after("commit_quarantine")

    async def quarantine_counts(self, run: Run) -> dict[tuple[str, int], int]:
        await self._before("quarantine_counts")
        rows = self.tables.get(self.quarantine(run.spec), [])
        return Counter((row.chunk, row.attempt) for row in rows if row.run == run.name.run)

    async def delete_stray_quarantine(
        self, run: Run, named: Iterable[tuple[str, int]], *, below: int
    ) -> None:
        await self._before("delete_stray_quarantine")
        keep = set(named)
        rows = self.tables.get(self.quarantine(run.spec), [])
        rows[:] = [
            r
            for r in rows
            if r.run != run.name.run or r.attempt >= below or (r.chunk, r.attempt) in keep
        ]

    async def commit_target(self, run: Run, streams: Sequence[str]) -> bool:
        await self._before("commit_target")
        alive = all(name in self.streams and name not in self.gone for name in streams)
        if alive and not any(name in self.committed for name in streams):
            self._commit(self.target(run.spec), streams)
        self._after("commit_target")
        return any(row.run == run.name.run for row in self.tables.get(self.target(run.spec), []))

    async def stream_counts(self, streams: Sequence[str]) -> dict[str, int | None]:
        await self._before("stream_counts")
        alive = {name: rows for name, rows in self.streams.items() if name not in self.gone}
        return {name: len(alive[name]) if name in alive else None for name in streams}

    async def chunk_counts(self, run: Run) -> dict[tuple[str, int], Counted]:
        await self._before("chunk_counts")
        return _counted(run, self._staged(run), lambda row: (row.chunk, row.attempt))

    async def delete_strays(
        self, run: Run, named: Iterable[tuple[str, int]], *, below: int
    ) -> None:
        await self._before("delete_strays")
        keep = set(named)
        rows = self._staged(run)
        rows[:] = [r for r in rows if r.attempt >= below or (r.chunk, r.attempt) in keep]

    async def staged_by_scope(self, run: Run) -> dict[str, Counted]:
        await self._before("staged_by_scope")
        return _counted(run, self._staged(run), lambda row: row.scope)

    async def published_by_scope(self, run: Run, scope: Scope) -> dict[str, Counted]:
        await self._before("published_by_scope")
        rows = [
            row
            for row in self.tables.get(self.target(run.spec), [])
            if row.pipeline == run.name.pipeline and (row.scope, *row.fixed) in set(values(scope))
        ]
        return _counted(run, rows, lambda row: row.scope)

    async def merge_statement(self, run: Run, scope: Scope, *, without: Sequence[str] = ()) -> str:
        await self._before("merge_statement")
        if run.spec.write.mode == "merge":
            return self._merge_by_key(run)
        reloaded = [c.input_id for c in run.plan.chunks] if run.plan and run.created.reload else []
        return json.dumps(
            {
                "staging": self.staging(run),
                "scope": list(values(scope)),
                "reloaded": reloaded,
                "without": list(without),
                "attempts": run.named_attempts,
            }
        )

    def _merge_by_key(self, run: Run) -> str:
        keys = {row.key for row in self._staged(run)}
        standing = Counter(
            row.key
            for row in self.tables[self.target(run.spec)]
            if row.pipeline == run.name.pipeline and row.key in keys
        )
        if twins := sum(count for count in standing.values() if count > 1):
            raise KeyNotUnique(self.target(run.spec), ", ".join(run.spec.write.key), twins)
        return json.dumps(
            {"staging": self.staging(run), "by_key": True, "attempts": run.named_attempts}
        )

    async def publish(self, run: Run, publishing: RunPublishing) -> None:
        await self._before("publish")
        if publishing.job_id in self.broken_jobs:
            self.jobs[publishing.job_id] = False
        if self.jobs.get(publishing.job_id) is False:
            raise PublishFailed(f"job {publishing.job_id} failed", job=publishing.job_id)
        if publishing.job_id not in self.jobs:
            self.jobs[publishing.job_id] = True
            lacking = {column.name for column in self._missing(run.published_spec)}
            assert not lacking, f"the statement names {lacking}, which the target does not have"
            what = json.loads(publishing.statement)
            (self._win if what.get("by_key") else self._merge)(run, what)
        self._after("publish")

    def _merge(self, run: Run, what: dict[str, Any]) -> None:
        scope, reloaded = set(map(tuple, what["scope"])), set(what["reloaded"])
        new = [
            row
            for row in self.tables[what["staging"]]
            if row.attempt in what["attempts"]
            and (not scope or (row.scope, *row.fixed) in scope)
            and row.source not in what["without"]
        ]
        rows = self.tables[self.target(run.spec)]
        rows[:] = [
            row
            for row in rows
            if row.run != run.name.run
            and not (
                row.pipeline == run.name.pipeline
                and ((row.scope, *row.fixed) in scope or row.source in reloaded)
            )
        ] + new

    def _win(self, run: Run, what: dict[str, Any]) -> None:
        rows = self.tables[self.target(run.spec)]
        best: dict[str, Row] = {}
        staged = [r for r in self.tables[what["staging"]] if r.attempt in what["attempts"]]
        for row in sorted(staged, key=lambda row: (row.version, row.chunk, row.number)):
            best[row.key] = row
        for row in [row for row in rows if row.pipeline == run.name.pipeline]:
            new = best.get(row.key)
            if new is None:
                continue
            if (new.version, new.snapshot) > (row.version, row.snapshot):
                rows.remove(row)
            else:
                del best[row.key]
        rows.extend(best.values())

    async def published_of(self, run: Run) -> Counted:
        await self._before("published_of")
        self._staged(run)
        rows = [row for row in self.tables[self.target(run.spec)] if row.run == run.name.run]
        width = len(money_columns(run.spec.columns))
        sums = tuple(total(_amount(row, i) for row in rows) for i in range(width))
        return Counted(row_count=len(rows), money=sums)

    def _drop_stagings(self, run: Run) -> None:
        for name in self._stagings(run):
            self.tables.pop(name, None)

    async def tidy_published(self, run: Run, publishing: RunPublishing) -> None:
        await self._before("tidy_published")
        self._drop_stagings(run)
        published = set(values(publishing.scope))
        rows = self.tables.get(self.quarantine(run.spec), [])
        rows[:] = [
            row for row in rows if not (_older(row, run) and (row.scope, *row.fixed) in published)
        ]

    async def tidy_unpublished(self, run: Run) -> None:
        await self._before("tidy_unpublished")
        self._drop_stagings(run)
        quarantine = self.tables.get(self.quarantine(run.spec), [])
        quarantine[:] = [row for row in quarantine if row.run != run.name.run]

    async def stage_transform(
        self, run: Run, transform: TransformSpec, scope: Scope, job_id: str
    ) -> StagedTransform:
        await self._before("stage_transform")
        self.stages.append((job_id, scope))
        if transform.transform_id in self.broken_transforms:
            raise PublishFailed(f"transform {transform.transform_id} failed: a dial")
        raw = self.tables.get(self.target(run.spec), [])
        found = self.results.setdefault(job_id, [row for row in raw if _in_scope(row, scope)])
        statement = json.dumps(
            {"silver": transform.target.table_id(run.name.tenant), "result": job_id}
        )
        self._after("stage_transform")
        return StagedTransform(row_count=len(found), statement=statement)

    async def publish_transform(self, run: Run, started: TransformStarted) -> int:
        await self._before("publish_transform")
        what = json.loads(started.statement)
        silver = self.tables.setdefault(what["silver"], [])
        if started.job_id not in self.jobs:
            new = self.results[what["result"]]
            self.jobs[started.job_id] = True
            silver[:] = [row for row in silver if not _in_scope(row, started.scope)] + new
        self._after("publish_transform")
        return sum(_in_scope(row, started.scope) for row in silver)

    async def tidy_transform(self, run: Run, started: TransformStarted) -> None:
        await self._before("tidy_transform")
        self.results.pop(json.loads(started.statement)["result"], None)

    async def quarantined(self, run: Run, *, offset: int, limit: int) -> list[dict[str, object]]:
        await self._before("quarantined")
        found = self.tables.get(self.quarantine(run.spec), [])
        rows = sorted(
            (row for row in found if row.run == run.name.run),
            key=lambda row: (row.source, row.number),
        )
        return [
            {"_source": row.source, "_row_number": row.number, "reasons": [], "raw_row": ""}
            for row in rows[offset : offset + limit]
        ]


def _in_scope(row: Row, scope: Scope) -> bool:
    return not scope or (row.source if scope[0][0] == "_source" else row.scope) in scope[0][1]


def _older(row: Row, run: Run) -> bool:
    return row.pipeline == run.name.pipeline and row.snapshot < (run.snapshot or 0)


def _counted(run: Run, rows: Iterable[Row], key: Callable[[Row], K]) -> dict[K, Counted]:
    width = len(money_columns(run.spec.columns))
    groups: dict[K, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {
        value: Counted(
            row_count=len(group),
            money=tuple(total(_amount(row, i) for row in group) for i in range(width)),
        )
        for value, group in groups.items()
    }


def _amount(row: Row, column: int) -> Decimal:
    """Return the money of a row in a column; rows of before the column was added have none."""
    return row.money[column] if column < len(row.money) else Decimal(0)
