"""What each reason means that a run may end with: whose fault it is, and what to do. The closed set of them."""

import dataclasses
from typing import Final, Literal

Kind = Literal["config", "source", "data", "quota", "platform"]


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """Whose fault a reason is, and what to do about it, in a sentence.

    again: `retry` where the same run can go on once that is done, `new` where only another run helps.
    """

    kind: Kind
    again: Literal["retry", "new"]
    advice: str


def _config(advice: str) -> Reason:
    """A fault of the tenant's files: a run keeps those it was created with."""
    return Reason(
        "config",
        "new",
        f"{advice}, check with `convergence pipelines validate`, and start a new run: this one "
        "keeps the files it was created with.",
    )


def _source(advice: str) -> Reason:
    return Reason("source", "retry", f"{advice}, then `convergence runs retry`.")


def _platform(advice: str) -> Reason:
    return Reason("platform", "retry", advice)


_OPERATOR: Final = (
    "`convergence runs retry` goes on where the run stopped; if it fails again, give the run's name "
    "and trace id to the platform's operator."
)
_AWAY: Final = (
    "Nothing is lost: `convergence runs retry` goes on where the run stopped, once {} is back."
)
_TENANT: Final = "The platform's operator decides: nothing of the tenant runs until then."

REASONS: Final[dict[str, Reason]] = {
    "INVALID_REQUEST": _config("Correct the fields named"),
    "CONFIG_INVALID": _config("Correct the files named"),
    "SECRET_NOT_FOUND": Reason(
        "config", "retry", "Create the secret, then `convergence runs retry`."
    ),
    "SECRET_NOT_PRIVATE": Reason(
        "config", "retry", "chmod 600 the file, then `convergence runs retry`."
    ),
    "CLUSTER_REFUSED": _platform(
        "The platform's operator gives auth the right that the message names, then "
        "`convergence runs retry`."
    ),
    "SECRET_STORE_UNAVAILABLE": _platform(_AWAY.format("Secret Manager")),
    "WAREHOUSE_UNAVAILABLE": _platform(_AWAY.format("BigQuery")),
    "WAREHOUSE_REJECTED": _platform(
        "The platform's operator mends what BigQuery refused, as the message says, then "
        "`convergence runs retry`."
    ),
    "DATASET_NOT_OWNED": _config("Name another dataset, or have its owner give it to the tenant"),
    "TABLE_NOT_FOUND": _platform(_OPERATOR),
    "STREAM_SEALED": _platform(_OPERATOR),
    "STREAM_GONE": _platform(_OPERATOR),
    "RESOURCE_STALE": _platform(_OPERATOR),
    "JOB_ID_TAKEN": _platform(_OPERATOR),
    "ROWS_REJECTED": Reason(
        "data",
        "new",
        "Correct the rows at the source, or the column's type in the schema, then start a new run.",
    ),
    "ROW_TOO_LARGE": Reason(
        "data",
        "new",
        "Shorten the row at the source, or leave its column out, then start a new run.",
    ),
    "QUERY_REJECTED": _config("Correct the SQL"),
    "IDENTITY_TOKEN_INVALID": _platform(_OPERATOR),
    "CREDENTIAL_MISSING": _platform(_OPERATOR),
    "SCOPE_MISSING": _platform(_OPERATOR),
    "SIGNING_KEY_UNUSABLE": _platform(
        "The platform's operator makes auth's signing key usable, then `convergence runs retry`."
    ),
    "RUN_NOT_FOUND": _platform(_OPERATOR),
    "NOT_INITIALIZED": _platform(
        "The platform's operator runs `convergence admin init`, then `convergence runs retry`."
    ),
    "AUTH_UNAVAILABLE": _platform(_AWAY.format("auth")),
    "TENANT_SUSPENDED": _platform(_TENANT),
    "TENANT_DELETED": _platform(_TENANT),
    "TENANT_NOT_FOUND": _platform(_TENANT),
    "SOURCE_UNAUTHENTICATED": _source("Put a valid key into the secret that the source names"),
    "SOURCE_FORBIDDEN": _source("Give the key the right that the source asks for"),
    "SOURCE_NOT_FOUND": _source("Put the data where the source names it"),
    "SOURCE_RATE_LIMITED": Reason(
        "quota",
        "retry",
        "Wait for the provider's limit to pass or have it raised, then `convergence runs retry`: "
        "finished chunks are kept.",
    ),
    "SOURCE_UNAVAILABLE": _source("Wait until the source answers again"),
    "SOURCE_REFUSED": _config("Correct the source's options"),
    "SOURCE_PROTOCOL_BROKEN": _source("Ask who runs the source what it answers"),
    "SOURCE_CHANGED": Reason(
        "source", "retry", "`convergence runs retry` plans anew with the source as it is now."
    ),
    "SOURCE_EMPTY": _source("See that the source has its rows"),
    "SOURCE_MALFORMED": _config("Correct the file, or the source's format"),
    "SOURCE_NOT_ALLOWED": _config("Correct the source's path or address"),
    "SOURCE_TOO_LARGE": _config("Narrow the source, or deliver fewer and larger files"),
    "PREFIX_NOT_ALLOWED": _config(
        "Correct the source's path, or have a platform admin allow the prefix"
    ),
    "MANIFEST_INVALID": _source("Have the export written again"),
    "UPSTREAM_TIMED_OUT": Reason(
        "source",
        "retry",
        "Look at the runs of the pipelines that it waited for; `convergence runs retry` goes on "
        "without waiting.",
    ),
    "COLUMN_MISSING": _config("Correct the schema, or have the source deliver the column"),
    "SCHEMA_CHANGED": _config("Make schema and table agree"),
    "CONTRACT_BROKEN": Reason(
        "data", "new", "Change the schema or the source's contract, then start a new run."
    ),
    "MEMORY_EXCEEDED": Reason(
        "data",
        "new",
        "Deliver the file in smaller parts, as the message says, then start a new run.",
    ),
    "SUITE_INVALID": _config("Correct the suite"),
    "QUALITY_FAILED": Reason(
        "data",
        "new",
        "Look at `convergence runs results`, correct the source or the expectation, then start a new "
        "run.",
    ),
    "HOLD_NOT_POSSIBLE": Reason(
        "data",
        "new",
        "Look at `convergence runs quarantine`, correct the source, or let the pipeline hold "
        "(`on_failure: hold`), then start a new run.",
    ),
    "KEY_NOT_UNIQUE": Reason(
        "data",
        "retry",
        "Delete the surplus rows of the key from the table, then `convergence runs retry`.",
    ),
    "AUDIT_MISMATCH": _platform(_OPERATOR),
    "CHUNK_ATTEMPTS_EXHAUSTED": _platform(
        "Look at the workers (their logs name the chunk); `convergence runs retry` goes on with the "
        "chunks that are missing."
    ),
    "RUN_TIMED_OUT": Reason(
        "platform",
        "retry",
        "`convergence runs retry` goes on with the chunks that are missing, for another "
        "`limits.timeout`; where that is too short for the window, raise it and start a new run.",
    ),
    "TRANSFORM_INVALID": _config("Correct the transform"),
    "TRANSFORM_OUT_OF_SCOPE": Reason(
        "data", "retry", "Correct the transform, then `convergence runs retry`."
    ),
    "PUBLISH_FAILED": _platform(_OPERATOR),
    "WORKER_FULL": _platform(_AWAY.format("a slot of a worker")),
    "WORKER_DRAINING": _platform(_AWAY.format("a worker")),
    "NO_WORKER": _platform(
        "The platform's operator starts a worker; `convergence runs retry` goes on where the run "
        "stopped."
    ),
    "INTERNAL": _platform(_OPERATOR),
}
"""By reason. A test holds that none is missing that `error_reason.proto` knows of."""


def reason_of(name: str) -> Reason:
    """Return what a reason means; one of a newer version, or none, is the platform's."""
    return REASONS.get(name, REASONS["INTERNAL"])
