"""What the orchestrator asks of BigQuery: the port. Every method may be repeated."""

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from libs.common.errors import FailedPrecondition
from services.orchestrator.runs.records import Landed, RunPublishing, Scope, TransformStarted
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import ColumnSpec, PipelineSpec, TransformSpec


class SchemaChanged(FailedPrecondition):
    """A column of the table disagrees with the spec."""

    reason = "SCHEMA_CHANGED"


class TransformOutOfScope(FailedPrecondition):
    """A transform returned rows outside its scope."""

    reason = "TRANSFORM_OUT_OF_SCOPE"


class PublishFailed(FailedPrecondition):
    """BigQuery did the publishing job, and it failed."""

    reason = "PUBLISH_FAILED"


class KeyNotUnique(FailedPrecondition):
    """The table of a `merge` holds several rows of one key."""

    reason = "KEY_NOT_UNIQUE"

    def __init__(self, table: str, key: str, row_count: int) -> None:
        super().__init__(
            f"{table} holds {row_count} rows of this pipeline that share their {key} with another, "
            "so there is no one row to merge into; delete the surplus rows, or publish to a new table",
            table=table,
            key=key,
            rowCount=str(row_count),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Rows and sums, by decimal column in schema order."""

    row_count: int
    money: tuple[Decimal, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StagedTransform:
    """A transform's result, waiting to be merged."""

    row_count: int
    statement: str
    """The MERGE that publishes it."""


class Warehouse(Protocol):
    """Tables, commits, counts and the publishing step of runs.

    A call that is cancelled ends when nothing of it will happen any more.
    """

    def target(self, spec: PipelineSpec) -> str:
        """Return `project.dataset.table` of the pipeline's target."""

    def quarantine(self, spec: PipelineSpec) -> str:
        """Return `project.dataset.table` of the target's quarantine."""

    def staging(self, run: Run) -> str:
        """Return `project.dataset.table` of the run's staging table."""

    async def check(self, spec: PipelineSpec) -> None:
        """Check that datasets found belong to the tenant. Raises FailedPrecondition / DATASET_NOT_OWNED."""

    async def columns(self, spec: PipelineSpec) -> tuple[ColumnSpec, ...]:
        """Return the columns that the target has, in its order; none if there is no target."""

    async def add_columns(self, run: Run) -> None:
        """Give the target the columns of the run's `published_spec` that it lacks. Raises SchemaChanged."""

    async def prepare(self, run: Run, *, staging: bool, expire_time: datetime) -> None:
        """Create what is missing: datasets, target, quarantine, staging. Raises SchemaChanged.

        A target that is there is left as it is: it gets new columns when rows are published.
        A staging table that is there lives until `expire_time` from now on.
        """

    async def check_columns(self, run: Run) -> None:
        """Check that the target has the columns of the run's `published_spec`, or can get those that are new.

        Raises SchemaChanged.
        """

    async def keep_staging(self, run: Run, *, expire_time: datetime) -> None:
        """Have the staging table, which is there, live until `expire_time`."""

    async def commit_staged(self, run: Run, done: Sequence[Landed]) -> None:
        """Make the rows of finished chunks visible in staging; streams that are gone are left out."""

    async def commit_quarantine(self, run: Run, done: Sequence[Landed]) -> None:
        """Make quarantined rows visible; streams already committed or gone are left out."""

    async def quarantine_counts(self, run: Run) -> dict[tuple[str, int], int]:
        """Count the run's quarantined rows that are visible by (chunk id, attempt)."""

    async def delete_stray_quarantine(
        self, run: Run, named: Iterable[tuple[str, int]], *, below: int
    ) -> None:
        """Delete the run's quarantined rows of attempts below `below` that the journal does not name."""

    async def commit_target(self, run: Run, streams: Sequence[str]) -> bool:
        """Commit all streams of a direct `append` at once; False if they are gone and no row is there.

        Raises PublishFailed where BigQuery refuses them.
        """

    async def stream_counts(self, streams: Sequence[str]) -> dict[str, int | None]:
        """Count the rows of finished, uncommitted streams by name; None for those that are gone."""

    async def chunk_counts(self, run: Run) -> dict[tuple[str, int], Counted]:
        """Count and sum staging by (chunk id, attempt)."""

    async def delete_strays(
        self, run: Run, named: Iterable[tuple[str, int]], *, below: int
    ) -> None:
        """Delete staging rows of attempts below `below` that the journal does not name.

        Those from there on are of a later epoch, whose journal who calls does not know.
        """

    async def staged_by_scope(self, run: Run) -> dict[str, Counted]:
        """Count and sum staging by scope value."""

    async def published_by_scope(self, run: Run, scope: Scope) -> dict[str, Counted]:
        """Count and sum the pipeline's rows in the target by scope value."""

    async def merge_statement(self, run: Run, scope: Scope, *, without: Sequence[str] = ()) -> str:
        """Return the publishing statement with the partitions of this moment as literals.

        Only rows of attempts that the journal names are published; those of the inputs in `without`
        are left where they are. Call it under the table's
        lock: a `merge` asks where the staged keys stand now. Raises KeyNotUnique.
        """

    async def publish(self, run: Run, publishing: RunPublishing) -> None:
        """Run the publishing statement once under its job id. Raises PublishFailed."""

    async def published_of(self, run: Run) -> Counted:
        """Count and sum the rows in the target that the run has written and nobody has replaced.

        Call it before the staging table is dropped, which says where they are.
        """

    async def tidy_published(self, run: Run, publishing: RunPublishing) -> None:
        """Delete quarantine of older looks at the published values, drop staging."""

    async def tidy_unpublished(self, run: Run) -> None:
        """Drop staging and delete the run's quarantined rows: it ended without publishing."""

    async def stage_transform(
        self, run: Run, transform: TransformSpec, scope: Scope, job_id: str
    ) -> StagedTransform:
        """Write a transform's result to staging by the job `job_id`, and check it.

        Raises TransformOutOfScope, SchemaChanged, QueryRejected.
        """

    async def publish_transform(self, run: Run, started: TransformStarted) -> int:
        """Run a transform's MERGE once under its job id; return the rows in its scope now.

        Raises PublishFailed.
        """

    async def tidy_transform(self, run: Run, started: TransformStarted) -> None:
        """Drop the transform's staging, when nobody will ask for its MERGE again."""

    async def quarantined(self, run: Run, *, offset: int, limit: int) -> list[dict[str, object]]:
        """Return quarantined rows of the run, by source and row number."""
