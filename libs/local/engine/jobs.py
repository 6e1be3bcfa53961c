"""Jobs: one statement per job id, committed with it, and no record of mere reading."""

from __future__ import annotations

import collections
import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import duckdb
from bqemulator.api.routes import jobs
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import JobMeta
from bqemulator.domain.errors import ResourceRef, resource_already_exists
from bqemulator.jobs.executor import classify_statement_type
from bqemulator.storage.engine import DuckDBEngine

CHANGES = frozenset(
    {
        "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE",
        "CREATE_TABLE", "CREATE_TABLE_AS_SELECT", "ALTER_TABLE", "DROP_TABLE",
    }
)  # fmt: skip
MOST_READS = 1000

Run = Callable[..., Awaitable[Any]]
Upsert = Callable[[Any, JobMeta], JobMeta]


def one_job_per_id() -> None:
    """Answer 409 to a second job with an id already used; stock runs the statement again."""
    for run in (
        jobs._handle_query_job,
        jobs._handle_load_job_with_async_envelope,
        jobs.execute_copy_job,
        jobs.execute_extract_job,
    ):
        setattr(jobs, run.__name__, _once(run))


def _once(run: Run) -> Run:
    @functools.wraps(run)
    async def once(project: str, job_id: str, config: Any, *args: Any, **kwargs: Any) -> Any:
        ctx = kwargs.get("ctx") or args[0]
        if not kwargs.get("dry_run") and ctx.catalog.get_job(project, job_id) is not None:
            raise resource_already_exists(ResourceRef("job", project, resource_id=job_id))
        return await run(project, job_id, config, *args, **kwargs)

    return once


def job_with_its_effect() -> None:
    """Commit what a statement changes in one transaction with the record of its job.

    Stock commits the one and then the other: killed in between, it runs the same id again.
    """
    run = jobs._handle_query_job

    @functools.wraps(run)
    async def whole(
        project: str, job_id: str, config: Any, *, dry_run: bool, ctx: Any, **rest: Any
    ) -> Any:
        sql = config["query"].get("query", "")
        if dry_run or classify_statement_type(sql) not in CHANGES:
            return await run(project, job_id, config, dry_run=dry_run, ctx=ctx, **rest)
        with _turn(sql):
            ctx.engine.execute("BEGIN")
            try:
                job = await run(project, job_id, config, dry_run=False, ctx=ctx, **rest)
                if job.error_result is None:
                    ctx.catalog.upsert_job(job)
                ctx.engine.execute("COMMIT" if job.error_result is None else "ROLLBACK")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    ctx.engine.execute("ROLLBACK")
                cache = getattr(ctx.catalog, "_cache", ctx.catalog)
                cache.delete_job(project, job_id, not_found_ok=True)
                raise
        return job

    jobs._handle_query_job = whole


def _turn(sql: str) -> contextlib.AbstractContextManager[object]:
    """Return the turn of a statement, which concerns the tables whose name is somewhere in it."""
    turns = getattr(DuckDBEngine, "writing", None)
    if turns is None:
        return contextlib.nullcontext()
    folded = sql.lower()
    turn: contextlib.AbstractContextManager[object] = turns.change(
        lambda table: table.rpartition(".")[2].lower() in folded
    )
    return turn


def reads_leave_no_record() -> None:
    """Remember the last MOST_READS jobs that were a SELECT, and only while the process lives.

    Stock writes each to disk, where it waits for whoever writes, and reads all of them at every
    start. After a restart the result is gone anyway, and running a SELECT again does no harm.
    """
    DuckDBCatalogRepository.upsert_job = _recent_reads(
        DuckDBCatalogRepository.upsert_job, cache=lambda catalog: catalog._cache
    )
    MemoryCatalogRepository.upsert_job = _recent_reads(
        MemoryCatalogRepository.upsert_job, cache=lambda catalog: catalog
    )


def _recent_reads(upsert: Upsert, *, cache: Callable[[Any], Any]) -> Upsert:
    recent: collections.deque[tuple[str, str]] = collections.deque()

    def upsert_job(self: Any, job: JobMeta) -> JobMeta:
        if not _only_read(job):
            return upsert(self, job)
        kept = cache(self)
        kept._jobs[job.project_id, job.job_id] = job
        recent.append((job.project_id, job.job_id))
        if len(recent) > MOST_READS:
            kept.delete_job(*recent.popleft(), not_found_ok=True)
        return job

    return upsert_job


def _only_read(job: JobMeta) -> bool:
    return (job.statistics or {}).get("query", {}).get("statementType") == "SELECT"
