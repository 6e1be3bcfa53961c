"""What the command line says when a call fails, and the status it exits with."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Final, TypeVar

from libs.common import errors

Found = TypeVar("Found")

FAILED_RUN: Final = 1
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
    "SCOPE_MISSING": "use a key that has the scope; `convergence keys create --scope` makes one",
    "TENANT_SUSPENDED": "ask the platform's operator; `convergence tenants resume` lifts it",
    "TENANT_NOT_FOUND": "`convergence tenants list` shows those there are",
    "TENANT_EXISTS": "the tenant is there with other content; `convergence tenants get` shows it",
    "TENANT_ID_CONFUSABLE": "choose an id that is not another tenant's id followed by `_…`",
    "TENANT_DELETED": "choose another id: this one is never used again",
    "PIPELINE_NOT_FOUND": "`convergence pipelines list` shows those there are",
    "RUN_NOT_FOUND": "`convergence runs list` shows those there are",
    "CONFIG_INVALID": "correct the files named; `convergence pipelines validate` checks them",
    "RUN_ALREADY_ACTIVE": "wait for the live run, or cancel it: `convergence runs cancel`",
    "RUN_STATE_MISMATCH": "`convergence runs explain` says what the run can do now",
    "REQUEST_ID_REUSED": "leave --request-id out, or give a new UUID",
    "WINDOW_IN_FUTURE": "ask for an earlier --date",
    "API_KEY_NOT_FOUND": "`convergence keys list` shows those there are",
    "NO_WORKER": "start an ingest worker, or wait until one is back",
}
"""What to do, by reason; the kinds below answer for all others."""

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
        yield f"error: {self.message}" + (f" ({self.reason})" if self.reason else "")
        facts = {**self.violations, **self.facts}
        for field, value in facts.items():
            if value not in self.message:
                yield f"  {field}: {value}"
        if self.advice:
            yield f"  do: {self.advice}"

    def json(self) -> str:
        return json.dumps({"error": dataclasses.asdict(self)}, ensure_ascii=False)


def refusal(error: errors.ServiceError) -> Refusal:
    """Return what to say about a failed call."""
    advice = ADVICE.get(error.reason) or _by_kind(KIND_ADVICE, error, "try again")
    if isinstance(error, errors.QuotaExceeded):
        advice = f"wait {error.retry_after:.3g} s, then try again"
    return Refusal(
        message=str(error) or type(error).__name__,
        status=_by_kind(STATUS, error, UNREACHABLE),
        reason=error.reason,
        violations=dict(getattr(error, "violations", {})),
        facts=dict(error.metadata),
        advice=advice,
    )


def _by_kind(
    table: tuple[tuple[type[errors.ServiceError], Found], ...],
    error: errors.ServiceError,
    default: Found,
) -> Found:
    return next((value for kind, value in table if isinstance(error, kind)), default)
