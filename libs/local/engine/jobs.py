"""Jobs: one statement per job id."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from bqemulator.api.routes import jobs
from bqemulator.domain.errors import ResourceRef, resource_already_exists

Run = Callable[..., Awaitable[Any]]


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
