"""What the orchestrator asks of workers: the port."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from libs.common.errors import FailedPrecondition
from libs.common.names import PipelineName, RunName
from services.orchestrator.runs.records import Chunk, Failure, Landed, Scope
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import PipelineSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """How a worker splits a source."""

    chunks: tuple[Chunk, ...]
    extra_columns: tuple[str, ...] = ()
    evolved_columns: tuple[tuple[str, str], ...] = ()
    """Pairs (extra column, type that holds it); only where the contract says `evolve`."""
    deliveries: tuple[str, ...] = ()
    """What manifests name, also where a delivery has no file and so no chunk."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One try of one chunk."""

    run: RunName
    run_attempt: int
    chunk_attempt: int
    epoch: int
    spec: PipelineSpec
    chunk: Chunk
    scope: Scope
    suite: str
    """The compiled suite as protobuf JSON; empty without one."""
    table: str
    quarantine_table: str
    staging: bool
    snapshot: int
    ingest_time: datetime
    deadline: datetime
    requests_per_minute: float = 0.0
    """Requests that the worker may make to the provider; 0 is no bound."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A sign of life."""

    row_count: int = 0
    read_bytes: int = 0
    throttled: bool = False
    slot_count: int | None = None


class SourceTooLarge(FailedPrecondition):
    """The source cannot be planned as one run."""

    reason = "SOURCE_TOO_LARGE"


class ChunkFailed(Exception):
    """A try ended without a result; `transient` says whether another one may succeed."""

    def __init__(self, failure: Failure, *, transient: bool, retry_after: float = 0.0) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.transient = transient
        self.retry_after = retry_after


class WorkerGone(Exception):
    """The worker refused before it opened anything, fell silent or died: place the chunk elsewhere."""

    def __init__(self, text: str, *, refused: bool) -> None:
        super().__init__(text)
        self.refused = refused
        """Whether no attempt was used up."""


class Worker(Protocol):
    """One worker process."""

    @property
    def address(self) -> str:
        """Where it is; also its name in records and logs."""

    async def plan(
        self, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
    ) -> Planned:
        """Split the source. Raises ServiceError as PlanChunks documents it.

        SourceTooLarge also where planning takes longer than a caller waits.
        """

    def ingest(self, assignment: Assignment) -> AsyncIterator[Beat | Landed]:
        """Stream one chunk: beats, then the result. Closing the iterator stops the work.

        Raises:
            ChunkFailed: the worker said so.
            WorkerGone: it did not answer, or not any more.
        """
