"""What the command line says when it or a service refuses, and the status it exits with."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Final, TypeVar

import click

from libs.client.addresses import Address
from libs.client.cli.listings import visible
from libs.common import errors

Found = TypeVar("Found")

FAILED_RUN: Final = 1
NOT_DONE: Final = 1
WRONG_ARGUMENTS: Final = 2
REFUSED: Final = 3
UNREACHABLE: Final = 4

STATUS: Final[tuple[tuple[type[errors.ServiceError], int], ...]] = (
    (errors.InvalidRequest, WRONG_ARGUMENTS),
    (errors.NotFound, WRONG_ARGUMENTS),
    (errors.AlreadyExists, WRONG_ARGUMENTS),
    (errors.FailedPrecondition, REFUSED),
    (errors.Conflict, REFUSED),
    (errors.Unauthenticated, REFUSED),
    (errors.PermissionDenied, REFUSED),
    (errors.QuotaExceeded, REFUSED),
    (errors.Unavailable, UNREACHABLE),
)

ADVICE: Final[dict[str, str]] = {
    "CREDENTIAL_MISSING": "set CONVERGENCE_API_KEY, or api_key_file in a profile",
    "API_KEY_MALFORMED": "the key was mistyped or cut; copy it again, all of it",
    "API_KEY_UNKNOWN": "check that the key belongs to this address; a tenant admin makes another with "
    "`convergence keys create`",
    "API_KEY_EXPIRED": "use the key that superseded it, or ask a tenant admin for another",
    "API_KEY_REVOKED": "ask a tenant admin for another: `convergence keys create`",
    "NOT_INITIALIZED": "run `convergence admin init`",
    "JOURNAL_UNREADABLE": "start the release that wrote the record, or a newer one; delete no row",
    "LEASE_UNUSABLE": "docs/leadership.md says what the lease needs; `helm upgrade` creates it anew",
    "CLUSTER_REFUSED": "grant the orchestrator's service account what the message names",
    "CLUSTER_UNAVAILABLE": "check that the API server of Kubernetes can be reached; it is asked again",
    "SCOPE_MISSING": "use a key that has the scope; `convergence keys create --scope` makes one",
    "TENANT_SUSPENDED": "ask the platform's operator; `convergence tenants resume` lifts it",
    "TENANT_NOT_FOUND": "`convergence tenants list` shows those there are",
    "TENANT_EXISTS": "the tenant is there with other content; `convergence tenants get` shows it",
    "TENANT_ID_CONFUSABLE": "choose an id that is not another tenant's id followed by `_…`",
    "TENANT_DELETED": "choose another id: this one is never used again",
    "PIPELINE_NOT_FOUND": "`convergence pipelines list` shows those there are",
    "RUN_NOT_FOUND": "`convergence runs list` shows those there are",
    "SCHEDULE_NOT_FOUND": "`convergence schedules list` shows those there are; a pipeline's file makes one",
    "BACKFILL_NOT_FOUND": "`convergence backfills list` shows those there are",
    "BACKFILL_STATE_MISMATCH": "`convergence backfills get` shows what it is; start another to go on",
    "BACKFILL_ALREADY_ACTIVE": "wait until it ends, or cancel it: `convergence backfills cancel`",
    "BACKFILL_NOT_POSSIBLE": "start a run instead: `convergence runs start`",
    "CONFIG_INVALID": "correct the files named; `convergence pipelines validate` checks them",
    "RUN_ALREADY_ACTIVE": "wait for the live run, or cancel it: `convergence runs cancel`",
    "RUN_STATE_MISMATCH": "`convergence runs explain` says what the run can do now",
    "SCHEMA_CHANGED": "start another run with the schema as it is now, and discard this one",
    "KEY_NOT_UNIQUE": "delete the surplus rows of the key, or publish to a new table; the run stays held",
    "REQUEST_ID_REUSED": "leave --request-id out, or give a new UUID",
    "WINDOW_IN_FUTURE": "ask for an earlier date",
    "API_KEY_NOT_FOUND": "`convergence keys list` shows those there are",
    "INVALID_REQUEST": "correct the fields named and try again",
    "PAGE_TOKEN_INVALID": "start again without the page token or cursor",
    "RESOURCE_STALE": "somebody changed it in between: look at it again, then decide again",
    "RATE_LIMITED": "call less often, or have the tenant's limit raised",
    "TOO_MANY_RUNS": "wait for a live run to end, or have the tenant's limit raised",
    "TOO_MANY_WATCHES": "close another watch of the tenant",
    "SUITE_INVALID": "correct the suite; `convergence pipelines validate` checks it",
    "SECRET_NOT_FOUND": "put the secret where the message says, readable by its owner only",
    "SECRET_NOT_PRIVATE": "close the file to others: chmod 600",
    "SOURCE_NOT_FOUND": "put the data there or correct the source; "
    "`convergence pipelines validate` checks it",
    "SOURCE_UNAUTHENTICATED": "put a valid key into the secret that the source names",
    "AUTH_UNAVAILABLE": "auth or its tables are away; `convergence local status` shows a local mesh",
    "WAREHOUSE_UNAVAILABLE": "BigQuery is away; `convergence local status` shows a local mesh",
    "NOT_ACTIVE": "no orchestrator leads just now: try again in some seconds",
    "NO_WORKER": "start an ingest worker, or wait until one is back",
}
"""What to do, by reason; the kinds below answer for all others."""

LATE: Final = "it may have been done all the same: look, then try again"

KIND_ADVICE: Final[tuple[tuple[type[errors.ServiceError], str], ...]] = (
    (errors.InvalidRequest, "correct the fields named and try again"),
    (errors.Unauthenticated, "use a valid key"),
    (errors.PermissionDenied, "use a key that may do this"),
    (errors.NotFound, "check the name; a list command shows what there is"),
    (errors.AlreadyExists, "choose another name"),
    (errors.FailedPrecondition, "change what is named, then try again"),
    (errors.Conflict, "read it again and decide again"),
    (errors.QuotaExceeded, "wait, then try again"),
    (errors.Unavailable, "check the address and that the service is up, then try again"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A failed command as a person or a program reads it."""

    message: str
    status: int
    reason: str = ""
    violations: dict[str, str] = dataclasses.field(default_factory=dict)
    facts: dict[str, str] = dataclasses.field(default_factory=dict)
    advice: str = ""

    def lines(self) -> Iterator[str]:
        """Yield the text: what, why, where, what to do."""
        head = f"error: {self.message}" + (f" ({self.reason})" if self.reason else "")
        yield from visible(head).split("\n")
        facts = {**self.violations, **self.facts}
        for field, value in facts.items():
            if value not in self.message:
                yield f"  {field}: {visible(value)}"
        if self.advice:
            yield f"  do: {self.advice}"

    def json(self) -> str:
        return json.dumps({"error": dataclasses.asdict(self)}, ensure_ascii=False)


class Refused(Exception):
    """A command that cannot be done, and what to say about it."""

    def __init__(self, said: Refusal) -> None:
        super().__init__(said.message)
        self.said = said


def refusal(error: errors.ServiceError) -> Refusal:
    """Return what to say about a failed call."""
    advice = ADVICE.get(error.reason) or _by_kind(KIND_ADVICE, error, "try again")
    reason, status = error.reason, _by_kind(STATUS, error, UNREACHABLE)
    if isinstance(error, errors.QuotaExceeded):
        more = f"; {ADVICE[reason]}" if reason in ADVICE else ""
        advice = f"wait {error.retry_after:.3g} s, then try again{more}"
    elif isinstance(error, errors.Unavailable) and not reason:
        waited = "waited" in error.metadata
        reason = "NO_ANSWER" if waited else "UNREACHABLE"
        advice = LATE if waited else _reaching(error.metadata.get("address", ""))
    return Refusal(
        message=str(error) or type(error).__name__,
        status=WRONG_ARGUMENTS if reason == "CONFIG_INVALID" else status,
        reason=reason,
        violations=dict(getattr(error, "violations", {})),
        facts=dict(error.metadata),
        advice=advice,
    )


def wrong(error: click.ClickException) -> Refusal:
    """Return what to say about arguments that are refused before anything is called."""
    field, why = "", error.format_message()
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        hint = error.param_hint or (error.param.get_error_hint(error.ctx) if error.param else "")
        field = (hint if isinstance(hint, str) else " ".join(hint)).replace("'", "")
        why = error.message
    why = why[:1].lower() + why[1:].rstrip(".")
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
    return Refusal(
        message=f"{field}: {why}" if field else why,
        status=WRONG_ARGUMENTS,
        reason="WRONG_ARGUMENTS",
        violations={field: why} if field else {},
        advice=f"`{command or 'convergence'} --help` shows what is allowed",
    )


def unusable(error: OSError) -> Refusal:
    """Return what to say about a file or folder that cannot be used."""
    return Refusal(
        message=f"{error.filename}: {error.strerror}" if error.filename else str(error),
        status=WRONG_ARGUMENTS,
        reason="FILE_UNUSABLE",
        advice="make it readable and writable for you, or name another one, then try again",
    )


def _reaching(address: str) -> str:
    other = "with --address, CONVERGENCE_ADDRESS or a profile"
    try:
        local = not Address.parse(address).tls
    except ValueError:
        local = False
    if local:
        return f"start the local mesh with `convergence local up`, or name another edge {other}"
    return f"check that the service is up, or name another edge {other}"


def _by_kind(
    table: tuple[tuple[type[errors.ServiceError], Found], ...],
    error: errors.ServiceError,
    default: Found,
) -> Found:
    return next((value for kind, value in table if isinstance(error, kind)), default)
