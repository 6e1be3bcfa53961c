"""Transforms in BigQuery: staged, checked to lie in their scope, merged."""

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from libs.bigquery import datasets, jobs, tables
from libs.bigquery.client import BigQuery
from libs.bigquery.columns import Column
from libs.bigquery.failures import QueryRejected, TableNotFound
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.threads import in_thread
from libs.common.errors import ServiceError
from libs.common.lineage import base_type
from libs.focus import columns as focus
from libs.focus.views import VERSIONS, create_view_sql
from services.orchestrator.runs.records import Scope, TransformStarted
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import TransformSpec
from services.orchestrator.transforms.guard import scope_parameter
from services.orchestrator.warehouse import statements as sql
from services.orchestrator.warehouse.bigquery_columns import addable
from services.orchestrator.warehouse.bigquery_settling import settle
from services.orchestrator.warehouse.warehouse import (
    SchemaChanged,
    StagedTransform,
    TransformOutOfScope,
)

SECONDS: Final = 600.0
STAGING_LIFE: Final = dt.timedelta(days=8)

T = TypeVar("T")


class BigQueryTransforms:
    """The transform step of one project."""

    def __init__(self, bigquery: BigQuery, dataset: Callable[[str, str], Awaitable[None]]) -> None:
        self._bq = bigquery
        self._ensure_dataset = dataset
        self._viewed: set[TableId] = set()
        """Cost tables whose views this process has made."""

    async def stage(
        self, run: Run, transform: TransformSpec, scope: Scope, job_id: str
    ) -> StagedTransform:
        """Write the result to staging, check its scope, make the target fit; return the MERGE."""
        assert run.plan is not None
        tenant = run.name.tenant
        for dataset in self.read_by(transform):
            await self._do(datasets.check_owner, dataset, tenant=tenant)
        await self._ensure_dataset(tenant, "staging")
        await self._ensure_dataset(tenant, transform.target.dataset)
        staging = self._staging(run, transform)
        await self._stage(run, transform, scope, staging, job_id)
        columns = await self._do(tables.get_columns, staging)
        inside = self._inside(run, transform, scope, columns, "")
        row_count = await self._check_scope(transform, staging, inside, scope)
        target = TableId(
            self._bq.connection.project,
            f"{tenant}_{transform.target.dataset}",
            transform.target.table,
        )
        await self._fit(transform, target, columns)
        await self._show(target)
        statement = sql.publish_transform(
            target=target.sql,
            staging=staging.sql,
            columns=[column.name for column in columns],
            owner={"_pipeline_id": run.name.pipeline, "_transform": transform.transform_id},
            inside=self._inside(run, transform, scope, columns, "t."),
        )
        return StagedTransform(row_count=row_count, statement=statement)

    def read_by(self, transform: TransformSpec) -> list[DatasetId]:
        """Return the datasets that a transform reads."""
        return [DatasetId(self._bq.connection.project, name) for name in transform.reads]

    async def _stage(
        self, run: Run, transform: TransformSpec, scope: Scope, staging: TableId, job_id: str
    ) -> None:
        now = run.update_time.astimezone(dt.UTC)
        facts = {
            "_tenant_id": run.name.tenant,
            "_pipeline_id": run.name.pipeline,
            "_transform": transform.transform_id,
            "_run_id": run.name.run,
        }
        statement = sql.stage_transform(
            staging.sql,
            transform.sql,
            facts,
            attempt=run.attempt,
            ingest_time=now.isoformat(sep=" "),
            expire_time=(now + STAGING_LIFE).isoformat(sep=" "),
        )
        try:
            await self._do(
                jobs.run_once,
                statement,
                job_id=job_id,
                parameters=scope_parameters(scope, self._scope_types(run, scope)),
                timeout=SECONDS,
            )
        except (QueryRejected, TableNotFound):
            raise
        except ServiceError as error:
            await settle(self._bq, job_id, error)

    async def _check_scope(
        self, transform: TransformSpec, staging: TableId, inside: str, scope: Scope
    ) -> int:
        (row,) = await self._do(jobs.query, sql.count_outside(staging.sql, inside), timeout=SECONDS)
        outside = int(str(row["outside_count"]))
        if outside:
            target_column = dict(transform.scope)[scope[0][0]]
            raise TransformOutOfScope(
                f"transform {transform.transform_id}: {outside} of {row['row_count']} rows have "
                f"{target_column} outside the scope {', '.join(scope[0][1][:10])}; "
                "restrict the SELECT with @scope",
                transform=transform.transform_id,
            )
        return int(str(row["row_count"]))

    async def _fit(
        self, transform: TransformSpec, target: TableId, columns: Sequence[Column]
    ) -> None:
        """Create the target, or add the columns that it lacks."""
        silver = [Column(name=c.name, type=c.type, mode=c.mode) for c in sql.SILVER_LINEAGE]
        declared = [Column(name=c.name, type=c.type, mode=c.mode) for c in transform.columns]
        own = {column.name for column in silver}
        wanted = [*(declared or [c for c in columns if c.name not in own]), *silver]
        self._check_declared(transform, target, columns, wanted)
        found = await self._do(
            tables.ensure_table,
            target,
            wanted,
            partition_by=transform.target.partition_by,
            cluster_by=transform.target.cluster_by,
        )
        known = {column.name.lower() for column in found.columns}
        missing = [column for column in wanted if column.name.lower() not in known]
        if missing:
            await self._do(tables.add_columns, target, addable(target, missing))

    async def _show(self, target: TableId) -> None:
        """Make the views of a FOCUS cost table, one a version; once a process, so that none is missing."""
        if target.table != focus.TABLE or target in self._viewed:
            return
        for version in VERSIONS:
            view = create_view_sql(version, f"{target.dataset}.{target.table}")
            await self._do(jobs.query, view, timeout=SECONDS)
        self._viewed.add(target)

    @staticmethod
    def _check_declared(
        transform: TransformSpec,
        target: TableId,
        columns: Sequence[Column],
        wanted: Sequence[Column],
    ) -> None:
        allowed = {column.name.lower() for column in wanted}
        if extra := [c.name for c in columns if c.name.lower() not in allowed]:
            raise SchemaChanged(
                f"transform {transform.transform_id} returns {', '.join(extra)}, which "
                f"{target} does not have; leave them out or declare them",
                table=str(target),
                column=extra[0],
            )

    async def finish(self, run: Run, started: TransformStarted) -> int:
        """Count the rows that a run's transform has published."""
        transform = _transform(run, started)
        target = TableId(
            self._bq.connection.project,
            f"{run.name.tenant}_{transform.target.dataset}",
            transform.target.table,
        )
        (row,) = await self._do(
            jobs.query,
            f"SELECT COUNT(*) AS row_count FROM {target.sql} WHERE _run_id = "
            f"{sql.text(run.name.run)} AND _transform = {sql.text(transform.transform_id)}",
            timeout=SECONDS,
        )
        return int(str(row["row_count"]))

    async def tidy(self, run: Run, started: TransformStarted) -> None:
        """Drop the staging table."""
        await self._do(tables.drop_table, self._staging(run, _transform(run, started)))

    def _staging(self, run: Run, transform: TransformSpec) -> TableId:
        name = f"{transform.transform_id}__{run.name.run}_{run.attempt}"
        return TableId(self._bq.connection.project, f"{run.name.tenant}_staging", name)

    @staticmethod
    def _scope_types(run: Run, scope: Scope) -> dict[str, str]:
        return {column: sql.column_type(run.spec, column) for column, _ in scope}

    def _inside(
        self,
        run: Run,
        transform: TransformSpec,
        scope: Scope,
        columns: Sequence[Column],
        alias: str,
    ) -> str:
        types = {column.name.lower(): column.type for column in columns}
        renamed = dict(transform.scope)
        raw_types = self._scope_types(run, scope)
        return " AND ".join(
            sql.transform_member(
                f"{alias}{sql.name(renamed[raw])}",
                types[renamed[raw].lower()],
                raw_types[raw],
                vals,
            )
            for raw, vals in scope
        )

    async def _do(self, call: Callable[..., T], *args: object, **kwargs: object) -> T:
        return await in_thread(self._bq.threads, call, self._bq, *args, **kwargs)


def _transform(run: Run, started: TransformStarted) -> TransformSpec:
    return next(t for t in run.spec.transforms if t.transform_id == started.transform_id)


def _utc(value: str) -> dt.datetime:
    return dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)


def scope_parameters(scope: Scope, types: dict[str, str]) -> dict[str, list[object]]:
    """Return the ARRAY parameters of a transform: `@scope`, then `@scope_{column}` for further ones."""
    return {
        scope_parameter(i, column): [typed(value, types[column]) for value in column_values]
        for i, (column, column_values) in enumerate(scope)
    }


def typed(value: str, type_: str) -> object:
    """Return the text of a scope value as the Python value that stands for its type."""
    parse: dict[str, Callable[[str], object]] = {
        "DATE": dt.date.fromisoformat,
        "TIMESTAMP": _utc,
        "DATETIME": dt.datetime.fromisoformat,
        "INT64": int,
    }
    return parse.get(base_type(type_), str)(value)
