"""The warehouse in BigQuery: one class, blocking calls in threads, statements from `statements.py`."""

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal, TypeVar

from libs.bigquery import datasets, jobs, streams, tables
from libs.bigquery.client import BigQuery
from libs.bigquery.columns import Column
from libs.bigquery.failures import (
    JobIdTaken,
    QueryRejected,
    StreamsGone,
    TableNotFound,
    WarehouseRejected,
)
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.threads import in_thread
from libs.common.errors import ServiceError
from libs.common.lineage import PlatformColumn, quarantine_columns, staging_columns, target_columns
from services.orchestrator.runs.records import Landed, RunPublishing, Scope, TransformStarted
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import ColumnSpec, PipelineSpec, TransformSpec
from services.orchestrator.warehouse import merge_statements as by_key
from services.orchestrator.warehouse import statements as sql
from services.orchestrator.warehouse.bigquery_columns import compare, refuse_gone
from services.orchestrator.warehouse.bigquery_settling import settle
from services.orchestrator.warehouse.bigquery_transforms import BigQueryTransforms
from services.orchestrator.warehouse.warehouse import (
    Counted,
    KeyNotUnique,
    PublishFailed,
    StagedTransform,
)

READ_SECONDS: Final = 60.0

ANSWER_SECONDS: Final = 8.0
"""How long a caller of an RPC waits for rows: less than clients wait for an answer."""

COUNTED_AT_ONCE: Final = 16

JOB_SECONDS: Final = 3600.0

T = TypeVar("T")


class BigQueryWarehouse:
    """Datasets, tables, commits and statements of runs in one project and location.

    `observe` is told the seconds that each commit of streams took.
    """

    def __init__(
        self,
        bigquery: BigQuery,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._bq = bigquery
        self._observe = observe
        self._answer_seconds = answer_seconds
        self._transforms = BigQueryTransforms(bigquery, self._dataset)

    def _table(self, tenant: str, dataset: str, table: str) -> TableId:
        return TableId(self._bq.connection.project, f"{tenant}_{dataset}", table)

    def _target(self, spec: PipelineSpec) -> TableId:
        return self._table(spec.tenant, spec.target.dataset, spec.target.table)

    def _quarantine(self, spec: PipelineSpec) -> TableId:
        return self._table(spec.tenant, spec.target.dataset, f"{spec.target.table}__quarantine")

    def _staging(self, run: Run) -> TableId:
        return self._table(run.name.tenant, "staging", run.staging_names[-1])

    async def _drop_stagings(self, run: Run) -> None:
        for name in run.staging_names:
            await self._do(tables.drop_table, self._table(run.name.tenant, "staging", name))

    def target(self, spec: PipelineSpec) -> str:
        return str(self._target(spec))

    def quarantine(self, spec: PipelineSpec) -> str:
        return str(self._quarantine(spec))

    def staging(self, run: Run) -> str:
        return str(self._staging(run))

    def _dataset_id(self, tenant: str, dataset: str) -> DatasetId:
        return DatasetId(self._bq.connection.project, f"{tenant}_{dataset}")

    async def check(self, spec: PipelineSpec) -> None:
        names = {spec.target.dataset, "staging", *(t.target.dataset for t in spec.transforms)}
        used = {self._dataset_id(spec.tenant, name) for name in names}
        for transform in spec.transforms:
            used.update(self._transforms.read_by(transform))
        for dataset in sorted(used):
            await self._do(datasets.check_owner, dataset, tenant=spec.tenant)

    async def columns(self, spec: PipelineSpec) -> tuple[ColumnSpec, ...]:
        try:
            found = await self._do(tables.get_columns, self._target(spec))
        except TableNotFound:
            return ()
        return tuple(ColumnSpec(name=c.name, type=c.type, mode=_mode(c)) for c in found)

    async def add_columns(self, run: Run) -> None:
        if missing := await self._missing(run):
            await self._do(tables.add_columns, self._target(run.spec), missing)

    async def _missing(self, run: Run) -> list[Column]:
        target = self._target(run.spec)
        declared = [column.platform() for column in run.published_spec.columns]
        found = await self._do(tables.get_columns, target)
        return compare(target, found, _columns(target_columns(declared)))

    async def prepare(self, run: Run, *, staging: bool, expire_time: dt.datetime) -> None:
        spec = run.spec
        await self._prepare_target(spec)
        if staging:
            declared = [column.platform() for column in run.staged_spec.columns]
            await self._dataset(spec.tenant, "staging")
            made = await self._do(
                tables.ensure_table,
                self._staging(run),
                _columns(staging_columns(declared)),
                expires_at=expire_time,
            )
            if not made.created:
                await self.keep_staging(run, expire_time=expire_time)

    async def check_columns(self, run: Run) -> None:
        gone = [c for c in await self._missing(run) if c.name not in run.new_columns]
        refuse_gone(self._target(run.spec), gone)

    async def keep_staging(self, run: Run, *, expire_time: dt.datetime) -> None:
        await self._do(tables.set_expiration, self._staging(run), expire_time)

    async def _prepare_target(self, spec: PipelineSpec) -> None:
        declared = [column.platform() for column in spec.columns]
        wanted = _columns(target_columns(declared))
        await self._dataset(spec.tenant, spec.target.dataset)
        found = await self._do(
            tables.ensure_table,
            self._target(spec),
            wanted,
            partition_by=spec.target.partition_by,
            cluster_by=spec.target.cluster_by,
        )
        compare(self._target(spec), found.columns, wanted)
        await self._ensure(
            self._quarantine(spec),
            _columns(quarantine_columns(declared)),
            partition_by="ingestion_date",
            cluster_by=("_pipeline_id", "_run_id"),
        )

    async def _dataset(self, tenant: str, dataset: str) -> None:
        await self._do(datasets.ensure_dataset, self._dataset_id(tenant, dataset), tenant=tenant)

    async def _ensure(
        self,
        table: TableId,
        columns: list[Column],
        *,
        partition_by: str,
        cluster_by: Sequence[str],
    ) -> None:
        found = await self._do(
            tables.ensure_table,
            table,
            columns,
            partition_by=partition_by,
            cluster_by=cluster_by,
        )
        missing = compare(table, found.columns, columns)
        if missing:
            await self._do(tables.add_columns, table, missing)

    async def commit_staged(self, run: Run, done: Sequence[Landed]) -> None:
        names = [landed.stream for landed in done if landed.stream]
        await self._commit_each(self._staging(run), names)

    async def commit_quarantine(self, run: Run, done: Sequence[Landed]) -> None:
        names = [landed.quarantine_stream for landed in done if landed.quarantine_stream]
        await self._commit_each(self._quarantine(run.spec), names)

    async def _commit_each(self, table: TableId, names: Sequence[str]) -> None:
        """Commit all at once; if some were committed before or are gone, the others one by one."""
        if not names or await self._committed(table, names):
            return
        for name in names if len(names) > 1 else ():
            await self._committed(table, [name])

    async def _committed(self, table: TableId, names: Sequence[str]) -> bool:
        """Commit streams; False if some were committed before or are gone: look at the rows."""
        began = time.monotonic()
        try:
            outcome = await self._do(streams.commit, table, names)
        except StreamsGone:
            return False
        self._observe(time.monotonic() - began)
        return isinstance(outcome, streams.Committed)

    async def quarantine_counts(self, run: Run) -> dict[tuple[str, int], int]:
        statement = sql.quarantine_counts(self._quarantine(run.spec).sql, run.name.run)
        rows = await self._read(statement)
        return {
            (str(x["chunk_id"]), int(str(x["attempt"]))): int(str(x["row_count"])) for x in rows
        }

    async def delete_stray_quarantine(
        self, run: Run, named: Iterable[tuple[str, int]], *, below: int
    ) -> None:
        table = self._quarantine(run.spec).sql
        await self._read(sql.delete_strays(table, named, below=below, run=run.name.run))

    async def commit_target(self, run: Run, streams_: Sequence[str]) -> bool:
        try:
            if await self._committed(self._target(run.spec), streams_):
                return True
        except (WarehouseRejected, TableNotFound) as error:
            raise PublishFailed(f"the streams of {run.name.run} are refused: {error}") from error
        statement = (
            f"SELECT COUNT(*) AS row_count FROM {self._target(run.spec).sql}"
            f" WHERE _run_id = {sql.text(run.name.run)}"
        )
        (row,) = await self._read(statement)
        return bool(row["row_count"])

    async def stream_counts(self, streams: Sequence[str]) -> dict[str, int | None]:
        limit = asyncio.Semaphore(COUNTED_AT_ONCE)
        counts = await asyncio.gather(*(self._stream_count(name, limit) for name in streams))
        return dict(zip(streams, counts, strict=True))

    async def _stream_count(self, name: str, limit: asyncio.Semaphore) -> int | None:
        """Seal a stream, which it is already, to hear how many rows it has."""
        async with limit:
            try:
                return await self._do(streams.finalize, name)
            except StreamsGone:
                return None

    async def chunk_counts(self, run: Run) -> dict[tuple[str, int], Counted]:
        money = sql.money_columns(run.spec.columns)
        rows = await self._read(sql.chunk_counts(self._staging(run).sql, money))
        return {(str(x["chunk_id"]), int(str(x["attempt"]))): _counted(x, money) for x in rows}

    async def delete_strays(
        self, run: Run, named: Iterable[tuple[str, int]], *, below: int
    ) -> None:
        await self._read(sql.delete_strays(self._staging(run).sql, named, below=below))

    async def staged_by_scope(self, run: Run) -> dict[str, Counted]:
        return await self._by_scope(run, self._staging(run), run.scope)

    async def published_by_scope(self, run: Run, scope: Scope) -> dict[str, Counted]:
        absent = await self._absent(run.spec)
        if absent.intersection(column for column, _ in scope):
            return {}
        return await self._by_scope(run, self._target(run.spec), scope, absent)

    async def _absent(self, spec: PipelineSpec) -> frozenset[str]:
        """Return the columns of the schema that the target does not have yet."""
        known = {column.name.casefold() for column in await self.columns(spec)}
        return frozenset(c.name for c in spec.columns if c.name.casefold() not in known)

    async def _by_scope(
        self, run: Run, table: TableId, scope: Scope, absent: frozenset[str] = frozenset()
    ) -> dict[str, Counted]:
        money = sql.money_columns(run.spec.columns)
        where = sql.in_scope(run.spec, scope)
        column = scope[0][0]
        type_ = sql.column_type(run.spec, column)
        there = [None if name in absent else name for name in money]
        rows = await self._read(sql.scope_counts(table.sql, where, column, type_, there))
        return {str(row["scope_value"]): _counted(row, money) for row in rows}

    async def merge_statement(self, run: Run, scope: Scope, *, without: Sequence[str] = ()) -> str:
        if run.spec.write.mode == "merge":
            return await self._merge_by_key(run)
        reloaded = self._reloaded(run)
        return sql.publish(
            run.published_spec,
            sql.Publishing(
                target=self._target(run.spec).sql,
                staging=self._staging(run).sql,
                scope=scope,
                without=tuple(without),
                reloaded=reloaded,
                partitions=await self._partitions(run, scope, reloaded),
                attempts=run.named_attempts,
            ),
        )

    async def _merge_by_key(self, run: Run) -> str:
        spec = run.published_spec
        target, staging = self._target(spec), self._staging(run).sql
        staged = _days(await self._partitions_of(run, self._staging(run), "TRUE"))
        found: list[dict[str, object]] = []
        if not (await self._absent(spec)).intersection(spec.write.key):
            found = await self._read(
                by_key.standing_keys(spec, target=target.sql, staging=staging, days=staged)
            )
        if twins := sum(int(str(row["twin_count"])) for row in found):
            raise KeyNotUnique(str(target), ", ".join(spec.write.key), twins)
        standing = {row["partition_day"] for row in found}
        days = _days([*staged, *standing])
        own = {column.name.casefold() for column in spec.columns}
        others = [
            column.name
            for column in await self.columns(spec)
            if column.name.casefold() not in own and column.name not in sql.LINEAGE_TYPES
        ]
        return by_key.publish_by_key(
            spec,
            target=target.sql,
            staging=staging,
            days=days,
            others=others,
            attempts=run.named_attempts,
        )

    @staticmethod
    def _reloaded(run: Run) -> tuple[str, ...]:
        if not run.created.reload or run.plan is None:
            return ()
        return tuple(dict.fromkeys(chunk.input_id for chunk in run.plan.chunks))

    async def _partitions(
        self, run: Run, scope: Scope, reloaded: tuple[str, ...]
    ) -> tuple[str | None, ...]:
        """Days of the partitions of staged rows and of the rows that they replace."""
        column = run.spec.target.partition_by
        if scope and scope[0][0] == column:
            return tuple(value[:10] for value in scope[0][1])
        found = await self._partitions_of(run, self._staging(run), "TRUE")
        replaced = ""
        if scope:
            absent = await self._absent(run.spec)
            known = not absent.intersection(column for column, _ in scope)
            replaced = sql.in_scope(run.spec, scope) if known else ""
        elif reloaded:
            owned = f"_pipeline_id = {sql.text(run.name.pipeline)}"
            replaced = f"{owned} AND {sql.one_of('_source', reloaded, 'STRING')}"
        if replaced:
            found += await self._partitions_of(run, self._target(run.spec), replaced)
        return _days(found)

    async def _partitions_of(self, run: Run, table: TableId, where: str) -> list[object]:
        column = run.spec.target.partition_by
        type_ = sql.column_type(run.spec, column)
        found = await self._read(sql.partitions(table.sql, column, type_, where))
        return [row["partition_day"] for row in found]

    async def published_of(self, run: Run) -> Counted:
        money = sql.money_columns(run.spec.columns)
        days = _days(await self._partitions_of(run, self._staging(run), "TRUE"))
        target = self._target(run.spec).sql
        statement = by_key.run_counts(
            run.spec, target=target, run=run.name.run, days=days, money=money
        )
        (row,) = await self._read(statement)
        return _counted(row, money)

    async def publish(self, run: Run, publishing: RunPublishing) -> None:
        await self._job(run, publishing.statement, publishing.job_id)

    async def _job(self, run: Run, statement: str, job_id: str) -> None:
        """Run a statement once: submit it under its id, or join the job that has the id already."""
        try:
            await self._do(
                jobs.run_once,
                statement,
                job_id=job_id,
                labels=job_labels(run),
                timeout=JOB_SECONDS,
            )
        except (QueryRejected, TableNotFound, JobIdTaken) as error:
            raise PublishFailed(f"job {job_id} failed: {error}", job=job_id) from error
        except ServiceError as error:
            await settle(self._bq, job_id, error)

    async def tidy_published(self, run: Run, publishing: RunPublishing) -> None:
        if publishing.scope:
            quarantine = self._quarantine(run.spec).sql
            assert run.snapshot is not None
            await self._read(
                sql.delete_quarantine(quarantine, run.spec, run.snapshot, publishing.scope)
            )
        await self._drop_stagings(run)

    async def tidy_unpublished(self, run: Run) -> None:
        await self._drop_stagings(run)
        try:
            await self._read(
                sql.delete_own_quarantine(self._quarantine(run.spec).sql, run.name.run)
            )
        except TableNotFound:
            return

    async def stage_transform(
        self, run: Run, transform: TransformSpec, scope: Scope, job_id: str
    ) -> StagedTransform:
        return await self._transforms.stage(run, transform, scope, job_id)

    async def publish_transform(self, run: Run, started: TransformStarted) -> int:
        await self._job(run, started.statement, started.job_id)
        return await self._transforms.finish(run, started)

    async def tidy_transform(self, run: Run, started: TransformStarted) -> None:
        await self._transforms.tidy(run, started)

    async def quarantined(self, run: Run, *, offset: int, limit: int) -> list[dict[str, object]]:
        statement = (
            f"SELECT * FROM {self._quarantine(run.spec).sql} WHERE _run_id = "
            f"{sql.text(run.name.run)} ORDER BY _source, _row_number LIMIT {limit} OFFSET {offset}"
        )
        try:
            return await in_thread(
                None, jobs.query, self._bq, statement, timeout=self._answer_seconds
            )
        except TableNotFound:
            return []

    async def _read(self, statement: str) -> list[dict[str, object]]:
        return await self._do(jobs.query, statement, timeout=READ_SECONDS)

    async def _do(self, call: Callable[..., T], *args: object, **kwargs: object) -> T:
        return await in_thread(self._bq.threads, call, self._bq, *args, **kwargs)


def job_labels(run: Run) -> dict[str, str]:
    """Return the labels of a run's jobs; values have at most 63 characters."""
    return {
        "tenant": run.name.tenant[:63],
        "pipeline": run.name.pipeline[:63],
        "run": run.name.run[:63],
    }


def _days(found: Iterable[object]) -> tuple[str | None, ...]:
    """Return days once and in order, the NULL partition last."""
    days = set(found)
    texts = sorted(str(day) for day in days if day is not None)
    return (*texts, None) if None in days else tuple(texts)


def _columns(columns: Iterable[PlatformColumn]) -> list[Column]:
    return [Column(name=c.name, type=c.type, mode=c.mode) for c in columns]


def _mode(column: Column) -> Literal["NULLABLE", "REQUIRED", "REPEATED"]:
    match column.mode:
        case "REQUIRED" | "REPEATED" as mode:
            return mode
        case _:
            return "NULLABLE"


def _counted(row: Mapping[str, object], money: Sequence[str]) -> Counted:
    return Counted(
        row_count=int(str(row["row_count"])),
        money=tuple(Decimal(str(row[f"m{i}"])) for i in range(len(money))),
    )
