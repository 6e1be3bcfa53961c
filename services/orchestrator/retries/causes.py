"""What an error says about another try: its class, and the neighbour that would be asked again."""

import dataclasses
import enum
from typing import Final

from libs.common.errors import Delayed, QuotaExceeded, ServiceError
from services.orchestrator.runs.reasons import reason_of
from services.orchestrator.runs.records import Failure
from services.orchestrator.specs import PipelineSpec


class ErrorClass(enum.StrEnum):
    """Whether another try may end differently, and if not, who has to act first."""

    TRANSIENT = "transient"
    QUOTA = "quota"
    CONFIG = "config"
    SOURCE = "source"
    DATA = "data"
    PLATFORM = "platform"

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later though nobody acts."""
        return self in {ErrorClass.TRANSIENT, ErrorClass.QUOTA}


class Neighbour(enum.StrEnum):
    """Whom the orchestrator depends on."""

    WORKERS = "workers"
    WAREHOUSE = "warehouse"
    QUALITY = "quality"
    AUTH = "auth"
    SOURCE = "source"


@dataclasses.dataclass(frozen=True, slots=True)
class Dependency:
    """What is well or sick as one: a neighbour, or one account at the sources of tenants."""

    neighbour: Neighbour
    account: str = ""


WORKERS: Final = Dependency(Neighbour.WORKERS)
WAREHOUSE: Final = Dependency(Neighbour.WAREHOUSE)
QUALITY: Final = Dependency(Neighbour.QUALITY)
AUTH: Final = Dependency(Neighbour.AUTH)

NEIGHBOURS: Final = {
    "SOURCE": Neighbour.SOURCE,
    "WAREHOUSE": Neighbour.WAREHOUSE,
    "STREAM": Neighbour.WAREHOUSE,
    "NO": Neighbour.WORKERS,
    "WORKER": Neighbour.WORKERS,
    "AUTH": Neighbour.AUTH,
}
"""By the first word of a reason."""


def account_of(spec: PipelineSpec) -> Dependency:
    """Return the account that a pipeline's source is read with: a tenant's secret, by its name."""
    name = spec.source.secret or f"without a secret: {spec.source.source_id}"
    return Dependency(Neighbour.SOURCE, f"{spec.tenant}/{name}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why something is tried again."""

    dependency: Dependency
    error_class: ErrorClass
    asked_seconds: float = 0.0
    """How long the neighbour asked to be left alone."""


def class_of(error: BaseException) -> ErrorClass:
    """Return the class of an error; whatever is of no kind is the platform's."""
    if isinstance(error, QuotaExceeded):
        return ErrorClass.QUOTA
    if isinstance(error, Delayed):
        return ErrorClass.TRANSIENT
    return _lasting(reason_of(error.reason).kind if isinstance(error, ServiceError) else "platform")


def cause_of(error: BaseException, spec: PipelineSpec) -> Cause:
    """Return what an error of a phase says about the next try.

    An error without a reason is one of quality's channel: all other callers name theirs.
    """
    reason = error.reason if isinstance(error, ServiceError) else ""
    unnamed = QUALITY if isinstance(error, Delayed) and not reason else WAREHOUSE
    return Cause(
        dependency=_dependency(reason, spec, unnamed),
        error_class=class_of(error),
        asked_seconds=error.retry_after if isinstance(error, Delayed) else 0.0,
    )


def cause_of_chunk(
    failure: Failure, spec: PipelineSpec, *, transient: bool, asked_seconds: float = 0.0
) -> Cause:
    """Return what a worker's word about a chunk says about the next try of it."""
    passing = (
        ErrorClass.QUOTA if reason_of(failure.reason).kind == "quota" else ErrorClass.TRANSIENT
    )
    return Cause(
        dependency=_dependency(failure.reason, spec, WORKERS),
        error_class=passing if transient else _lasting(failure.kind),
        asked_seconds=asked_seconds,
    )


def _lasting(kind: str) -> ErrorClass:
    """Return the class of what no try changes; a limit that does not pass is the source's."""
    if kind == "quota":
        return ErrorClass.SOURCE
    return ErrorClass(kind)


def _dependency(reason: str, spec: PipelineSpec, otherwise: Dependency) -> Dependency:
    neighbour = NEIGHBOURS.get(reason.partition("_")[0])
    if neighbour is None:
        return otherwise
    return account_of(spec) if neighbour is Neighbour.SOURCE else Dependency(neighbour)
