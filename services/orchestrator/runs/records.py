"""Records of the journal: every decision about a run, as data. State is a fold over them.

A type or a field with a default may be added; then run `make journals`. Nothing is ever renamed,
retyped or removed and no default changes, so that what any earlier version wrote stays readable and
means what it meant. docs/journal.md lists all of it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal, Protocol, Self

import pydantic

from services.orchestrator.runs import part
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.schedules.records import (
    FiresDecided,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSet,
)

Part = part.Part

VERSION: Final = 2
"""Which records this code knows: docs/journal.md says what came with each version."""

Scope = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs (column, literal values as text of the column's type): every combination of the values.

Each column but the first has one value, so that a part of the combinations is a scope too.
"""


def scope_of_inputs(names: Sequence[str]) -> Scope:
    """Return the scope that stands for inputs by name; empty if there are none."""
    return (("_source", tuple(names)),) if names else ()


class Failure(Part):
    """Why a run failed; `kind` is config, source, data, quota or platform."""

    kind: Literal["config", "source", "data", "quota", "platform"]
    reason: str
    message: str
    advice: str
    data_safe: bool = True
    metadata: dict[str, str] = pydantic.Field(default={})


class Money(Part):
    """Sums of one decimal column over one chunk."""

    column: str
    read: Decimal
    landed: Decimal
    quarantined: Decimal
    unparsable_count: int = 0
    quarantined_row_count: int = 0
    """Quarantined rows whose amount is not 0: their sum may be 0 all the same."""


class ScopeCount(Part):
    """Rows landed for one combination of scope values; 0 where the source itself said so."""

    values: tuple[str, ...]
    row_count: int


class Metric(Part):
    """What a worker counted for one row rule."""

    rule_id: str
    element_count: int
    missing_count: int
    unexpected_count: int
    samples: tuple[str, ...] = ()


class Chunk(Part):
    """A part of the source: `message` is the worker's own `Chunk`, as protobuf JSON."""

    chunk_id: str
    input_id: str
    content_hash: str
    estimated_bytes: int = 0
    expected_row_count: int | None = None
    delivery: str = ""
    """Of an input that a manifest names: what a newer manifest of the same replaces."""
    message: str


class Landed(Part):
    """What a finished chunk holds."""

    chunk_id: str
    chunk_attempt: int
    stream: str
    quarantine_stream: str
    read_row_count: int
    landed_row_count: int
    quarantined_row_count: int
    read_bytes: int
    money: tuple[Money, ...] = ()
    metrics: tuple[Metric, ...] = ()
    scope_counts: tuple[ScopeCount, ...] = ()
    coerced_cell_count: int = 0
    variants: tuple[str, ...] = ()
    """Variant columns that took a cell of a landed row."""
    try_count: int = 1


class Result(Part):
    """What one expectation said."""

    rule_id: str
    expectation_type: str
    column: str
    kwargs: str
    success: bool
    severity: str
    element_count: int
    missing_count: int
    unexpected_count: int | None = None
    observed_value: str | None = None
    samples: tuple[str, ...] = ()


class Change(Part):
    """Sum of one decimal column over a scope, before and after."""

    column: str
    old: Decimal
    new: Decimal


class Restatement(Part):
    """How a scope changed against what it replaced."""

    old_row_count: int
    new_row_count: int
    money: tuple[Change, ...] = ()


class Visible(Part):
    """What readers saw of a run when it was published."""

    row_count: int
    money: tuple[tuple[str, Decimal], ...] = ()
    """Pairs (decimal column, sum)."""


class Limits(Protocol):
    """Limits of a tenant, in whatever form auth says them."""

    @property
    def slot_weight(self) -> float: ...

    @property
    def chunk_count(self) -> int: ...

    @property
    def live_run_count(self) -> int: ...

    @property
    def read_bytes_per_day(self) -> int: ...


class Share(Part):
    """What a tenant may have of what all share."""

    slot_weight: float = 1.0
    """Above 0: twice the weight is twice the slots while both wait."""
    chunk_count: int = 0
    """Most chunks that workers have at once; 0 is no cap."""
    live_run_count: int = 20
    """Most runs that have begun and do not rest; others wait."""
    read_bytes_per_day: int = 0
    """After its runs have read so much on a day (UTC) no further one begins on it; 0 is no cap."""

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """Return what limits say of which 0 means the platform's default."""
        given = {name: getattr(limits, name) for name in cls.model_fields}
        return cls(**{name: value for name, value in given.items() if value > 0})


class OfBackfill(Part):
    """Which window of which backfill a run is for."""

    backfill: str
    """Resource name."""
    day: date
    """First day of the window, in its zone."""


class EpochOpened(Part):
    """An orchestrator became active."""

    type: Literal["epoch.opened"] = "epoch.opened"
    version: int = 1
    """VERSION of who writes the records of this epoch."""
    stream: str = ""
    """Where they are written: who leads next seals it, whatever its lease says."""


class EpochKept(Part):
    """Nothing else was journaled for long, or a leader asks whether it leads: the stream is in use."""

    type: Literal["epoch.kept"] = "epoch.kept"


class CheckpointPart(Part):
    """A part of a checkpoint: what was so after the record at `mark`. All parts stand together."""

    type: Literal["checkpoint.part"] = "checkpoint.part"
    mark: int
    fold: str
    """Whose state: `runs` (which were kept), `untransformed`, `versions`, or another fold's name."""
    items: tuple[str, ...]
    """The state as JSON texts of the fold's own."""


class CheckpointCompleted(Part):
    """All parts of a checkpoint are before this record: a start may begin at its mark."""

    type: Literal["checkpoint.completed"] = "checkpoint.completed"
    mark: int


class RunCreated(Part):
    """A run was acknowledged, with everything it uses to its end."""

    type: Literal["run.created"] = "run.created"
    spec: str
    spec_hash: str
    request_id: str
    request_digest: str
    """Nobody reads it: `request_facts` says the same. Every version wants it, so it stays."""
    request_facts: dict[str, str] = pydantic.Field(default={})
    window_start: datetime | None = None
    window_end: datetime | None = None
    scope: Scope = ()
    reload: bool = False
    created_by: str = ""
    traceparent: str = ""
    share: Share | None = None
    """What the tenant may have from here on; None leaves it as it was."""
    lane: Lane = Lane.INTERACTIVE
    of_backfill: OfBackfill | None = None
    """None of a run that was started by itself."""
    fire_time: datetime | None = None
    """Nominal time of the fire of the pipeline's schedule that it carries out; None of others."""
    after: tuple[str, ...] = ()
    """Pipelines of the tenant that must have succeeded for its day or month before it begins."""
    after_expire_time: datetime | None = None
    """How long it waits for them."""


class RunPlanning(Part):
    """Planning began; the position of the first such record of a plan is the run's snapshot."""

    type: Literal["run.planning"] = "run.planning"


class RunPlanned(Part):
    """From here on "complete" has a meaning."""

    type: Literal["run.planned"] = "run.planned"
    chunks: tuple[Chunk, ...]
    scope: Scope = ()
    deliveries: tuple[str, ...] = ()
    named_deliveries: tuple[str, ...] = ()
    """What manifests name, also where a delivery has no file and so no chunk."""
    known_inputs: tuple[str, ...] = ()
    renamed_inputs: tuple[tuple[str, str], ...] = ()
    """Pairs (new name, name under which the same content was published)."""
    extra_columns: tuple[str, ...] = ()
    evolved_columns: tuple[tuple[str, str], ...] = ()
    """Pairs (column, type) that the run has beside those of its schema, all of them NULLABLE."""
    new_columns: tuple[str, ...] = ()
    """Columns of the run that the target, which was there, did not have."""
    missing_columns: tuple[str, ...] = ()
    """Always empty; the first journals have it."""
    suite: str = ""
    """The compiled suite, as protobuf JSON; empty without one."""
    direct: bool = False
    ingest_time: datetime
    share: Share | None = None
    """As in RunCreated: what auth said when the run was planned."""


class ChunkCompleted(Part):
    """A chunk's rows count from here on: the journal names its stream."""

    type: Literal["chunk.completed"] = "chunk.completed"
    landed: Landed
    worker: str = ""


class ChunksLost(Part):
    """Streams that ended before their rows were committed: the chunks are read again."""

    type: Literal["chunks.lost"] = "chunks.lost"
    chunk_ids: tuple[str, ...]
    cause: str


class RunIngested(Part):
    """Every planned chunk is done."""

    type: Literal["run.ingested"] = "run.ingested"


class RunAudited(Part):
    """Counts and sums agree, and the suite was judged."""

    type: Literal["run.audited"] = "run.audited"
    success: bool
    results: tuple[Result, ...] = ()


class RunHeld(Part):
    """The run waits for a person."""

    type: Literal["run.held"] = "run.held"
    reasons: tuple[str, ...]
    expire_time: datetime
    renamed_inputs: tuple[tuple[str, str], ...] = ()
    """Pairs (new name, name under which the same content was published) that the reasons name."""


class RunPublishing(Part):
    """The point of no return: what will be made visible, and how. Written before it begins."""

    type: Literal["run.publishing"] = "run.publishing"
    scope: Scope = ()
    left_out: Scope = ()
    deliveries: tuple[str, ...] = ()
    """Deliveries of manifests that are replaced as a whole: the scope has all their objects."""
    inputs: tuple[tuple[str, str], ...] = ()
    """Pairs (input id, content hash) that become published."""
    streams: tuple[str, ...] = ()
    job_id: str = ""
    statement: str = ""
    old_row_count: int = 0
    old_money: tuple[tuple[str, Decimal], ...] = ()
    by: str = ""
    reason: str = ""


class RunPublished(Part):
    """The rows are visible."""

    type: Literal["run.published"] = "run.published"
    restatement: Restatement | None = None
    won: Visible | None = None
    """`merge`: the rows that won their keys; the others that landed are outdated."""


class TransformStarted(Part):
    """A transform's statement is about to run; written before it begins."""

    type: Literal["transform.started"] = "transform.started"
    transform_id: str
    job_id: str
    statement: str
    scope: Scope
    looked: int = 0
    """Journal position when the raw table was read: what was published later is not in it."""


class TransformCompleted(Part):
    """A transform's rows are visible."""

    type: Literal["transform.completed"] = "transform.completed"
    transform_id: str
    target_table: str
    row_count: int
    scope: Scope


class TransformFailed(Part):
    """Raw rows are published, silver is as it was."""

    type: Literal["run.transform_failed"] = "run.transform_failed"
    transform_id: str
    failure: Failure


class RunSucceeded(Part):
    """The end; everything is published."""

    type: Literal["run.succeeded"] = "run.succeeded"


class RunFailed(Part):
    """Failed before anything was published."""

    type: Literal["run.failed"] = "run.failed"
    failure: Failure


class RunCancelling(Part):
    """Work is being stopped."""

    type: Literal["run.cancelling"] = "run.cancelling"
    by: str
    reason: str


class RunCancelled(Part):
    """Nothing was published, staging is gone."""

    type: Literal["run.cancelled"] = "run.cancelled"
    by: str = ""
    reason: str = ""


class RunSuperseded(Part):
    """Newer looks at all its scope values are published."""

    type: Literal["run.superseded"] = "run.superseded"
    by_run: str


class RunRetried(Part):
    """The next attempt of a failed run begins."""

    type: Literal["run.retried"] = "run.retried"
    attempt: int
    replan: bool = False
    restaged: bool = False
    """Whether a plan anew fills a staging table anew: the one before has the columns of its own plan."""
    by: str = ""
    spec: str = ""
    """The spec with its transforms as they now stand; empty if unchanged."""
    share: Share | None = None
    """As in RunCreated."""
    lane: Lane | None = None
    """The run's lane from here on; None leaves it as it was."""


class BackfillCreated(Part):
    """A backfill was acknowledged, with everything that its runs use to their end."""

    type: Literal["backfill.created"] = "backfill.created"
    backfill: str
    """Resource name; so in every record about backfills, which are about no run."""
    spec: str
    spec_hash: str
    request_id: str
    request_facts: dict[str, str] = pydantic.Field(default={})
    start: date
    end: date
    """First day after the range."""
    newest_first: bool
    days: tuple[date, ...]
    """First days of its windows, in the order in which they are started."""
    max_parallel: int
    max_failures: int
    reload: bool = False
    created_by: str = ""
    reason: str = ""
    traceparent: str = ""
    share: Share | None = None
    """As in RunCreated."""


class BackfillPaused(Part):
    """No window is started from here on; `by` is who asked, or `platform`."""

    type: Literal["backfill.paused"] = "backfill.paused"
    backfill: str
    by: str
    reason: str = ""


class BackfillResumed(Part):
    """Windows are started again; what failed before is forgiven."""

    type: Literal["backfill.resumed"] = "backfill.resumed"
    backfill: str
    by: str


class BackfillCancelled(Part):
    """No window is started any more, and live runs are cancelled."""

    type: Literal["backfill.cancelled"] = "backfill.cancelled"
    backfill: str
    by: str
    reason: str = ""


class BackfillFinished(Part):
    """Nothing of it moves by itself any more."""

    type: Literal["backfill.finished"] = "backfill.finished"
    backfill: str


class TenantLimited(Part):
    """What a tenant may have of what all share, heard while something of it waited for that."""

    type: Literal["tenant.limited"] = "tenant.limited"
    tenant: str
    share: Share


BackfillDetail = (
    BackfillCreated | BackfillPaused | BackfillResumed | BackfillCancelled | BackfillFinished
)

Detail = Annotated[
    EpochOpened
    | EpochKept
    | CheckpointPart
    | CheckpointCompleted
    | RunCreated
    | RunPlanning
    | RunPlanned
    | ChunkCompleted
    | ChunksLost
    | RunIngested
    | RunAudited
    | RunHeld
    | RunPublishing
    | RunPublished
    | TransformStarted
    | TransformCompleted
    | TransformFailed
    | RunSucceeded
    | RunFailed
    | RunCancelling
    | RunCancelled
    | RunSuperseded
    | RunRetried
    | BackfillCreated
    | BackfillPaused
    | BackfillResumed
    | BackfillCancelled
    | BackfillFinished
    | TenantLimited
    | ScheduleSet
    | ScheduleRemoved
    | SchedulePaused
    | ScheduleResumed
    | FiresDecided,
    pydantic.Field(discriminator="type"),
]

DETAILS: pydantic.TypeAdapter[Detail] = pydantic.TypeAdapter(Detail)


class Record(Part):
    """One row of the journal. `run` is a run's resource name, empty for records about anything else."""

    event_id: str
    position: int
    epoch: int
    run: str
    time: datetime
    detail: Detail
