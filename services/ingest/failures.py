"""What can go wrong with a source, as kinds; and the words that a failed chunk says it in."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from libs.common.errors import (
    Delayed,
    FailedPrecondition,
    InvalidRequest,
    QuotaExceeded,
    ServiceError,
    Unavailable,
)


class SourceNotFound(FailedPrecondition):
    """No such file or address."""

    reason = "SOURCE_NOT_FOUND"


class SourceEmpty(FailedPrecondition):
    """There is a file, and no row in it."""

    reason = "SOURCE_EMPTY"


class SourceMalformed(FailedPrecondition):
    """A file is not what its format says."""

    reason = "SOURCE_MALFORMED"


class SourceTooLarge(FailedPrecondition):
    """The plan of a source is larger than what can be told."""

    reason = "SOURCE_TOO_LARGE"


class MemoryExceeded(FailedPrecondition):
    """A part of the source needs more memory at once than a worker has."""

    reason = "MEMORY_EXCEEDED"


class SourceChanged(FailedPrecondition):
    """The source is not what was planned."""

    reason = "SOURCE_CHANGED"


class SourceNotAllowed(InvalidRequest):
    """The path or address of a source is not one that a tenant may read."""

    reason = "SOURCE_NOT_ALLOWED"

    def __init__(self, field: str, why: str, *, found: str) -> None:
        super().__init__({field: why}, why, source=field, found=found)


class PrefixNotAllowed(FailedPrecondition):
    """The tenant may not read this bucket or prefix."""

    reason = "PREFIX_NOT_ALLOWED"

    def __init__(self, found: str, allowed: Sequence[str]) -> None:
        prefixes = ", ".join(allowed) or "nothing of object stores"
        text = (
            f"found {found!r}; the tenant may read {prefixes}; have a platform admin allow the "
            "prefix (`convergence tenants update ID --may-read URI`), or correct `path`"
        )
        super().__init__(text, source=found, found=found, allowed=prefixes)


class ManifestInvalid(FailedPrecondition):
    """A manifest is none of its kind, or names files that are not there or differ."""

    reason = "MANIFEST_INVALID"


class ContractBroken(FailedPrecondition):
    """The source differs from the schema, and its contract says `freeze`."""

    reason = "CONTRACT_BROKEN"


class ColumnMissing(FailedPrecondition):
    """A column of the schema is not in the source."""

    reason = "COLUMN_MISSING"


class SourceUnauthenticated(FailedPrecondition):
    """The source does not know the key."""

    reason = "SOURCE_UNAUTHENTICATED"


class SourceForbidden(FailedPrecondition):
    """The source knows the key, which lacks a right."""

    reason = "SOURCE_FORBIDDEN"


class SourceRefused(FailedPrecondition):
    """The source refuses the request as it is."""

    reason = "SOURCE_REFUSED"


class SourceProtocolBroken(FailedPrecondition):
    """The source's answer breaks its own protocol."""

    reason = "SOURCE_PROTOCOL_BROKEN"


class SourceUnavailable(Unavailable):
    """The source does not answer, or breaks off."""

    reason = "SOURCE_UNAVAILABLE"


class SourceRateLimited(QuotaExceeded):
    """The source asks to wait for longer than a chunk does."""

    reason = "SOURCE_RATE_LIMITED"


class DeadlinePassed(FailedPrecondition):
    """The run's time is over."""

    reason = "RUN_TIMED_OUT"


class Cancelled(Exception):
    """The caller has gone, or asked to stop; not a failure of the chunk."""


CONFIG: Final = frozenset(
    {
        "INVALID_REQUEST",
        "COLUMN_MISSING",
        "PREFIX_NOT_ALLOWED",
        "SECRET_NOT_FOUND",
        "SECRET_NOT_PRIVATE",
        "SOURCE_NOT_ALLOWED",
        "SOURCE_REFUSED",
        "SOURCE_MALFORMED",
        "SOURCE_TOO_LARGE",
    }
)
SOURCE: Final = frozenset(
    {
        "SOURCE_UNAUTHENTICATED",
        "SOURCE_FORBIDDEN",
        "SOURCE_NOT_FOUND",
        "SOURCE_UNAVAILABLE",
        "SOURCE_PROTOCOL_BROKEN",
        "SOURCE_CHANGED",
        "SOURCE_EMPTY",
        "MANIFEST_INVALID",
    }
)
DATA: Final = frozenset({"CONTRACT_BROKEN", "MEMORY_EXCEEDED", "ROW_TOO_LARGE", "ROWS_REJECTED"})
PASSING: Final = frozenset({"STREAM_GONE", "RESOURCE_STALE", "INTERNAL"})
"""Reasons that are no Delayed ones and yet may be gone on another try of the chunk."""

ADVICE: Final[Mapping[str, str]] = {
    "config": "Correct the tenant's files and start a new run.",
    "source": "Look at the source, then retry the run: finished chunks are kept.",
    "data": "Correct the row at the source, or leave its column out, then start a new run.",
    "quota": "Wait for the provider's limit to pass or raise it, then retry the run.",
    "platform": "Retry the run; if it fails again, give its name and trace id to the operator.",
}
OWN_ADVICE: Final[Mapping[str, str]] = {
    "SOURCE_UNAUTHENTICATED": "Put a valid key into the secret that the source names, then retry.",
    "SOURCE_FORBIDDEN": "Give the key the right that the source asks for, then retry the run.",
    "CONTRACT_BROKEN": "Change the schema or the source's contract, then start a new run.",
    "MEMORY_EXCEEDED": "Deliver the file in smaller parts, as the message says, then start a new run.",
    "SOURCE_CHANGED": "Retry the run: it plans anew with the source as it is now.",
    "SECRET_NOT_PRIVATE": "Make the secret's file private (chmod 600), then retry the run.",
    "SECRET_NOT_FOUND": "Create the secret, then retry the run.",
    "RUN_TIMED_OUT": "Raise limits.timeout or make the window smaller, then start a new run.",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why a chunk failed; `kind` is config, source, data, quota or platform."""

    kind: str
    reason: str
    message: str
    advice: str
    metadata: Mapping[str, str]
    transient: bool
    retry_after: float | None = None


def failed(error: BaseException) -> Failed:
    """Return what a chunk says about `error`; of an unexpected one only that it was unexpected."""
    if not isinstance(error, ServiceError):
        return Failed(
            kind="platform",
            reason="INTERNAL",
            message="an unexpected error; the worker's log has it under the trace id",
            advice=ADVICE["platform"],
            metadata={},
            transient=True,
        )
    kind = _kind(error.reason)
    return Failed(
        kind=kind,
        reason=error.reason or "INTERNAL",
        message=str(error),
        advice=OWN_ADVICE.get(error.reason, ADVICE[kind]),
        metadata=error.metadata,
        transient=isinstance(error, Delayed) or error.reason in PASSING,
        retry_after=error.retry_after if isinstance(error, Delayed) else None,
    )


def _kind(reason: str) -> str:
    if reason in CONFIG:
        return "config"
    if reason in SOURCE:
        return "source"
    if reason in DATA:
        return "data"
    return "quota" if reason == "SOURCE_RATE_LIMITED" else "platform"
