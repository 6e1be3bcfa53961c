"""Results of finished queries, kept for a while."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from bqemulator.api.routes import jobs
from bqemulator.jobs import executor

MOST_RESULTS = 1000
MOST_BYTES = 256 * 1024 * 1024


def old_results_freed() -> None:
    """Forget the oldest results past MOST_RESULTS or MOST_BYTES; stock keeps every one in memory.

    The newest result stays whatever its size. Reading a forgotten one answers 404.
    """
    schemas: dict[str, list[dict[str, Any]]] = {}
    results = RecentResults(schemas)
    for module in (executor, jobs):
        module.JOB_RESULTS = results
        module.JOB_SCHEMAS = schemas


class RecentResults(dict[str, pa.Table]):
    """Results by job id, oldest first; drops a result's schema along with it."""

    def __init__(self, schemas: dict[str, list[dict[str, Any]]]) -> None:
        super().__init__()
        self._schemas = schemas
        self._bytes = 0

    def __setitem__(self, job_id: str, result: pa.Table) -> None:
        self.pop(job_id, None)
        super().__setitem__(job_id, result)
        self._bytes += result.nbytes
        while len(self) > 1 and (len(self) > MOST_RESULTS or self._bytes > MOST_BYTES):
            oldest = next(iter(self))
            self.pop(oldest)
            self._schemas.pop(oldest, None)

    def pop(self, job_id: str, default: Any = None) -> Any:
        if job_id in self:
            self._bytes -= self[job_id].nbytes
        return super().pop(job_id, default)
