"""Tenants: confusable ids, state moves, what their fields may hold."""

import itertools
from datetime import UTC, datetime

import pytest

from services.auth import tenants
from services.auth.tenants import (
    NEXT,
    Limits,
    Tenant,
    TenantDeleted,
    TenantIdConfusable,
    TenantState,
    TenantSuspended,
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 1, 13, tzinfo=UTC)
ACME = Tenant(tenant_id="acme", create_time=NOON, update_time=NOON)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("acme", "acme_corp", True),
        ("acme_corp", "acme", True),
        ("acme", "acme_", True),
        ("acme", "acmecorp", False),
        ("acme", "acme", False),
        ("acme_corp", "acme_inc", False),
        ("a_b", "a_b_c", True),
    ],
)
def test_an_id_followed_by_an_underscore_can_be_confused(
    one: str, other: str, expected: bool
) -> None:
    assert tenants.confusable(one, other) is expected


def test_a_confusable_id_is_refused_and_both_are_named() -> None:
    with pytest.raises(TenantIdConfusable) as error:
        tenants.refuse_confusable("acme", ["widgets", "acme_corp"])
    assert error.value.metadata == {"tenant": "acme", "other": "acme_corp"}
    tenants.refuse_confusable("acme", ["acme", "widgets"])


@pytest.mark.parametrize(("state", "target"), list(itertools.product(TenantState, repeat=2)))
def test_only_listed_moves_are_allowed(state: TenantState, target: TenantState) -> None:
    tenant = Tenant(tenant_id="acme", create_time=NOON, update_time=NOON, state=state)
    if target is state:
        assert tenant.to(target, at=LATER) is tenant
    elif target in NEXT[state]:
        assert (tenant.to(target, at=LATER).state, tenant.to(target, at=LATER).update_time) == (
            target,
            LATER,
        )
    else:
        with pytest.raises(TenantDeleted):
            tenant.to(target, at=LATER)


def test_a_tombstone_goes_nowhere() -> None:
    assert NEXT[TenantState.DELETED] == frozenset()


def test_only_an_active_tenant_may_call() -> None:
    ACME.refuse_unless_active()
    with pytest.raises(TenantSuspended) as error:
        ACME.to(TenantState.SUSPENDED, at=LATER).refuse_unless_active()
    assert error.value.metadata == {"tenant": "acme"}
    with pytest.raises(TenantDeleted):
        ACME.to(TenantState.DELETED, at=LATER).refuse_unless_active()


def test_what_differs_between_two_tenants_is_named() -> None:
    other = Tenant(
        tenant_id="acme",
        create_time=LATER,
        update_time=LATER,
        display_name="A",
        limits=Limits(call_burst=1),
    )
    assert tenants.differing(ACME, other) == ("display_name", "limits")
    assert tenants.differing(ACME, ACME) == ()


@pytest.mark.parametrize("text", ["gs://bucket/", "gs://bucket/a/b/", "s3://my.bucket-1/x/"])
def test_prefixes_of_object_stores_are_taken(text: str) -> None:
    assert tenants.checked_prefixes([text]) == (text,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gs://bucket",
        "gs://bucket/a",
        "file:///etc/",
        "https://x/",
        "gs://b*/a/",
        "gs://bucket/../x/",
        "gs://bucket/a/../",
        "gs://bucket/./",
        "gs://bucket//",
        "gs://bucket/a//b/",
        "gs://bucket/a b/",
        "gs://bucket/[a]/",
        "gs:///a/",
        "gs://Bucket/a/",
        "s3://bucket-/a/",
        "s3://bucket/a\\b/",
    ],
)
def test_other_prefixes_are_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="allowed is a value such as gs://bucket/prefix/"):
        tenants.checked_prefixes(["gs://bucket/", text])


def test_prefixes_are_few_and_none_lies_in_another() -> None:
    with pytest.raises(ValueError, match=r"found 's3://abc/a/x/', which lies in 's3://abc/a/'"):
        tenants.checked_prefixes(["s3://abc/a/x/", "s3://abc/b/", "s3://abc/a/"])
    with pytest.raises(ValueError, match=r"'s3://abc/', which lies in 's3://abc/'"):
        tenants.checked_prefixes(["s3://abc/", "s3://abc/"])
    with pytest.raises(ValueError, match="found 21 of"):
        tenants.checked_prefixes([f"gs://bucket/{n}/" for n in range(21)])
    with pytest.raises(ValueError, match="allowed are 20 and 2000 characters together"):
        tenants.checked_prefixes([f"gs://bucket/{'x' * 500}{n}/" for n in range(4)])
    apart = ("gs://bucket/acme/", "gs://bucket/acme_corp/")
    assert tenants.checked_prefixes(reversed(apart)) == apart


@pytest.mark.parametrize(
    "limits",
    [
        Limits(calls_per_second=-1),
        Limits(calls_per_second=float("inf")),
        Limits(calls_per_second=float("nan")),
        Limits(call_burst=-1),
    ],
)
def test_limits_are_finite_and_not_negative(limits: Limits) -> None:
    with pytest.raises(ValueError, match="allowed are 0"):
        tenants.checked_limits(limits)


def test_texts_of_google_are_checked() -> None:
    account = "loader@my-project.iam.gserviceaccount.com"
    assert tenants.checked_optional(account, tenants.SERVICE_ACCOUNT, "x") == account
    assert tenants.checked_optional("", tenants.PROJECT, "x") == ""
    for text, pattern in [
        ("me@gmail.com", tenants.SERVICE_ACCOUNT),
        ("UPPER", tenants.PROJECT),
        ("e u", tenants.LOCATION),
    ]:
        with pytest.raises(ValueError, match="such as example"):
            tenants.checked_optional(text, pattern, "example")


def test_a_display_name_has_a_length() -> None:
    assert tenants.checked_display_name("é" * 100)
    with pytest.raises(ValueError, match="101 characters; allowed are 100"):
        tenants.checked_display_name("x" * 101)
