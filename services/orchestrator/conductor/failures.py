"""From an error of a phase to the failure that a run carries: who acts, what to do."""

from typing import Final, Literal

from libs.common.errors import InvalidRequest, ServiceError
from services.orchestrator.runs.records import Failure

Kind = Literal["config", "source", "data", "quota", "platform"]

KINDS: Final[dict[str, Kind]] = {
    "CONFIG_INVALID": "config",
    "COLUMN_MISSING": "config",
    "SCHEMA_CHANGED": "config",
    "SECRET_NOT_FOUND": "config",
    "SECRET_NOT_PRIVATE": "config",
    "SOURCE_NOT_ALLOWED": "config",
    "SOURCE_REFUSED": "config",
    "SOURCE_MALFORMED": "config",
    "SOURCE_TOO_LARGE": "config",
    "SUITE_INVALID": "config",
    "TRANSFORM_INVALID": "config",
    "QUERY_REJECTED": "config",
    "DATASET_NOT_OWNED": "config",
    "SOURCE_UNAUTHENTICATED": "source",
    "SOURCE_FORBIDDEN": "source",
    "SOURCE_NOT_FOUND": "source",
    "SOURCE_UNAVAILABLE": "source",
    "SOURCE_PROTOCOL_BROKEN": "source",
    "SOURCE_CHANGED": "source",
    "SOURCE_EMPTY": "source",
    "MANIFEST_INVALID": "source",
    "SOURCE_RATE_LIMITED": "quota",
    "CONTRACT_BROKEN": "data",
    "MEMORY_EXCEEDED": "data",
    "QUALITY_FAILED": "data",
    "HOLD_NOT_POSSIBLE": "data",
    "KEY_NOT_UNIQUE": "data",
    "TRANSFORM_OUT_OF_SCOPE": "data",
}

ADVICE: Final[dict[Kind, str]] = {
    "config": "Correct the tenant's files, check them with `convergence pipelines validate`, "
    "and start a new run: this one keeps the files it was created with.",
    "source": "Look at the source, then `convergence runs retry`: finished chunks are kept.",
    "data": "Look at `convergence runs results` and `runs quarantine`, correct the source or the "
    "rule, then start a new run.",
    "quota": "Wait for the limit to pass or raise it, then `convergence runs retry`.",
    "platform": "`convergence runs retry` goes on where the run stopped; if it fails again, "
    "give the run's name and trace id to the platform's operator.",
}

SECOND_ADVICE: Final[dict[str, str]] = {
    "SOURCE_UNAUTHENTICATED": "Put a valid key into the secret that the source names, "
    "then `convergence runs retry`.",
    "SOURCE_FORBIDDEN": "Give the key the right that the source asks for, "
    "then `convergence runs retry`.",
    "SECRET_NOT_PRIVATE": "chmod 600 the file, then `convergence runs retry`.",
    "SECRET_NOT_FOUND": "Create the secret, then `convergence runs retry`.",
    "SOURCE_CHANGED": "`convergence runs retry` plans anew with the source as it is now.",
}


def failure_of(error: BaseException, *, data_safe: bool = True) -> Failure:
    """Return what a run says about `error`; of an unexpected one only that it was unexpected."""
    if not isinstance(error, ServiceError):
        return Failure(
            kind="platform",
            reason="INTERNAL",
            message="an unexpected error; the log has it under the run's trace id",
            advice=ADVICE["platform"],
            data_safe=data_safe,
        )
    kind = KINDS.get(error.reason, "platform")
    metadata = dict(error.metadata)
    if isinstance(error, InvalidRequest):
        metadata |= {key.replace(" ", "_"): why for key, why in list(error.violations.items())[:8]}
    return Failure(
        kind=kind,
        reason=error.reason or "INTERNAL",
        message=str(error),
        advice=SECOND_ADVICE.get(error.reason, ADVICE[kind]),
        data_safe=data_safe,
        metadata=metadata,
    )
