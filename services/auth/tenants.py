"""Tenants: who they are, which ids can be confused, and how their state may change."""

import dataclasses
import enum
import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Self

from libs.common.errors import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
)


class TenantState(enum.StrEnum):
    """State of a tenant."""

    ACTIVE = enum.auto()
    SUSPENDED = enum.auto()
    DELETED = enum.auto()


NEXT: Final[dict[TenantState, frozenset[TenantState]]] = {
    TenantState.ACTIVE: frozenset({TenantState.SUSPENDED, TenantState.DELETED}),
    TenantState.SUSPENDED: frozenset({TenantState.ACTIVE, TenantState.DELETED}),
    TenantState.DELETED: frozenset(),
}
"""Allowed moves. A deleted tenant is a tombstone: its id is never used again."""

LONGEST_DISPLAY_NAME: Final = 100
PROJECT: Final = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{3,28}[a-z0-9]")
LOCATION: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,40}")
SERVICE_ACCOUNT: Final = re.compile(r"[^@\s]+@[a-z0-9.-]*gserviceaccount\.com")
SOURCE_PREFIX: Final = re.compile(
    r"(?:gs|s3)://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/(?:[^\s*?\[\]\\/]+/)*"
)
MOST_PREFIXES: Final = 20
PREFIXES_LENGTH: Final = 2000
"""Characters of all prefixes together: they travel in every token of the tenant's runs."""


class TenantNotFound(NotFound):
    reason = "TENANT_NOT_FOUND"

    def __init__(
        self, tenant: str, advice: str = "create it with `convergence tenants create`"
    ) -> None:
        super().__init__(f"no tenant {tenant}; {advice}", name=f"tenants/{tenant}")


class TenantExists(AlreadyExists):
    reason = "TENANT_EXISTS"

    def __init__(self, tenant: str, fields: Iterable[str]) -> None:
        super().__init__(
            f"tenant {tenant} exists with another {', '.join(fields)}; change it with UpdateTenant",
            name=f"tenants/{tenant}",
        )


class TenantIdConfusable(AlreadyExists):
    reason = "TENANT_ID_CONFUSABLE"

    def __init__(self, tenant: str, other: str) -> None:
        super().__init__(
            f"tenant id {tenant} can be confused with {other}: one is the other followed by `_`, so datasets "
            "of both could have the same name; choose an id that is no such extension",
            tenant=tenant,
            other=other,
        )


class TenantDeleted(FailedPrecondition):
    reason = "TENANT_DELETED"

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"tenant {tenant} was deleted and its id is never used again; choose another id",
            tenant=tenant,
        )


class TenantSuspended(PermissionDenied):
    reason = "TENANT_SUSPENDED"

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"tenant {tenant} is suspended; ask the operator of the platform to resume it",
            tenant=tenant,
        )


class TenantStale(Conflict):
    reason = "RESOURCE_STALE"

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"tenant {tenant} was changed in between; read it again and decide again",
            name=f"tenants/{tenant}",
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a tenant may use at once; 0 means the platform's default."""

    calls_per_second: float = 0.0
    call_burst: int = 0
    live_run_count: int = 0
    slot_weight: float = 0.0
    chunk_count: int = 0
    read_bytes_per_day: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer of the platform. Empty texts mean the platform's own; times are UTC."""

    tenant_id: str
    create_time: datetime
    update_time: datetime
    display_name: str = ""
    state: TenantState = TenantState.ACTIVE
    bigquery_project: str = ""
    bigquery_location: str = ""
    service_account: str = ""
    source_prefixes: tuple[str, ...] = ()
    limits: Limits = Limits()

    def changed(self, changes: Mapping[str, object]) -> Self:
        """Return this tenant with values at paths: fields of it, or `limits.{field}` for one limit."""
        whole = {path: value for path, value in changes.items() if "." not in path}
        parts = {path.partition(".")[2]: v for path, v in changes.items() if path not in whole}
        new = dataclasses.replace(self, **whole)  # type: ignore[arg-type]
        limits = dataclasses.replace(new.limits, **parts)  # type: ignore[arg-type]
        return dataclasses.replace(new, limits=limits)

    def to(self, target: TenantState, *, at: datetime) -> Self:
        """Return this tenant in state `target`; raise TenantDeleted if NEXT forbids it."""
        if target == self.state:
            return self
        if target not in NEXT[self.state]:
            raise TenantDeleted(self.tenant_id)
        return dataclasses.replace(self, state=target, update_time=at)

    def refuse_unless_active(self) -> None:
        """Raise TenantSuspended or TenantDeleted if the tenant may not call."""
        if self.state is TenantState.DELETED:
            raise TenantDeleted(self.tenant_id)
        if self.state is TenantState.SUSPENDED:
            raise TenantSuspended(self.tenant_id)


CONTENT: Final = (
    "display_name",
    "bigquery_project",
    "bigquery_location",
    "service_account",
    "source_prefixes",
    "limits",
)
"""Fields that two creations of the same tenant must agree on."""


def differing(one: Tenant, other: Tenant) -> tuple[str, ...]:
    """Return the fields of CONTENT in which two tenants differ."""
    return tuple(field for field in CONTENT if getattr(one, field) != getattr(other, field))


def confusable(one: str, other: str) -> bool:
    """Say whether one id is the other followed by `_…`, in either direction."""
    return one.startswith(f"{other}_") or other.startswith(f"{one}_")


def refuse_confusable(tenant: str, others: Iterable[str]) -> None:
    """Raise TenantIdConfusable if `tenant` can be confused with one of `others`."""
    for other in others:
        if confusable(tenant, other):
            raise TenantIdConfusable(tenant, other)


def checked_display_name(text: str) -> str:
    """Return `text`; raise ValueError if it is too long."""
    if len(text) > LONGEST_DISPLAY_NAME:
        raise ValueError(f"{len(text)} characters; allowed are {LONGEST_DISPLAY_NAME}")
    return text


def checked_optional(text: str, pattern: re.Pattern[str], example: str) -> str:
    """Return `text` if it is empty or a whole match of `pattern`; raise ValueError otherwise."""
    if text and not pattern.fullmatch(text):
        raise ValueError(f"found {text!r}; allowed is empty or a value such as {example}")
    return text


def checked_prefixes(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the URIs that sources may read, sorted; raise ValueError naming the first wrong one.

    Each ends with `/`, so that it matches whole elements of a path: `gs://b/acme/` is no prefix of
    `gs://b/acme_corp/x.csv`.
    """
    prefixes = tuple(sorted(texts))
    for text in prefixes:
        if not SOURCE_PREFIX.fullmatch(text) or {"..", "."} & set(text.split("/")):
            raise ValueError(
                f"found {text!r}; allowed is a value such as gs://bucket/prefix/ or "
                "s3://bucket/prefix/, that ends with / and has no blank, *, ?, [, ], .. or empty part"
            )
    for outer, inner in itertools.pairwise(prefixes):
        if inner.startswith(outer):
            raise ValueError(f"found {inner!r}, which lies in {outer!r}; leave one of them out")
    if len(prefixes) > MOST_PREFIXES or sum(map(len, prefixes)) > PREFIXES_LENGTH:
        raise ValueError(
            f"found {len(prefixes)} of {sum(map(len, prefixes))} characters; allowed are "
            f"{MOST_PREFIXES} and {PREFIXES_LENGTH} characters together: name a folder above them"
        )
    return prefixes


def checked_limit(field: str, value: float) -> float:
    """Return the value of one limit; raise ValueError for a negative or endless one."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{field} is {value}; allowed are 0 (the default) and more")
    return value


def checked_limits(limits: Limits) -> Limits:
    """Return `limits`; raise ValueError for a negative or endless one."""
    for field in dataclasses.fields(limits):
        checked_limit(field.name, getattr(limits, field.name))
    return limits
