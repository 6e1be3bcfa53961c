"""From an error to its class and to whom a retry would ask again."""

import pytest

from libs.common.errors import FailedPrecondition, InvalidRequest, QuotaExceeded, Unavailable
from services.orchestrator.retries.causes import (
    AUTH,
    QUALITY,
    WAREHOUSE,
    WORKERS,
    Dependency,
    ErrorClass,
    Neighbour,
    account_of,
    cause_of,
    cause_of_chunk,
)
from services.orchestrator.runs.records import Failure
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.workers.dispatcher import NoWorker
from tests.unit.orchestrator.conductor.world import spec

SPEC = spec()


def keyed(tenant: str, secret: str | None) -> PipelineSpec:
    source = SPEC.source.model_copy(update={"secret": secret})
    return SPEC.model_copy(update={"tenant": tenant, "source": source})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("x", reason="WAREHOUSE_UNAVAILABLE"), ErrorClass.TRANSIENT),
        (QuotaExceeded("x", reason="RATE_LIMITED"), ErrorClass.QUOTA),
        (InvalidRequest({"f": "x"}, reason="SUITE_INVALID"), ErrorClass.CONFIG),
        (FailedPrecondition("x", reason="SOURCE_FORBIDDEN"), ErrorClass.SOURCE),
        (FailedPrecondition("x", reason="SOURCE_RATE_LIMITED"), ErrorClass.SOURCE),
        (FailedPrecondition("x", reason="KEY_NOT_UNIQUE"), ErrorClass.DATA),
        (FailedPrecondition("x", reason="WAREHOUSE_REJECTED"), ErrorClass.PLATFORM),
        (RuntimeError("a bug"), ErrorClass.PLATFORM),
    ],
)
def test_only_what_passes_by_itself_is_worth_another_try(
    error: Exception, expected: ErrorClass
) -> None:
    found = cause_of(error, SPEC).error_class
    assert found is expected
    assert found.passes is isinstance(error, Unavailable | QuotaExceeded)


@pytest.mark.parametrize(
    ("error", "dependency"),
    [
        (NoWorker("x"), WORKERS),
        (Unavailable("x", reason="WORKER_DRAINING"), WORKERS),
        (Unavailable("x", reason="WAREHOUSE_UNAVAILABLE"), WAREHOUSE),
        (Unavailable("x", reason="STREAM_GONE"), WAREHOUSE),
        (Unavailable("x", reason="AUTH_UNAVAILABLE"), AUTH),
        (Unavailable("a channel's own"), QUALITY),
        (Unavailable("x", reason="SOURCE_UNAVAILABLE"), account_of(SPEC)),
        (RuntimeError("a bug"), WAREHOUSE),
    ],
)
def test_an_error_names_who_would_be_asked_again(error: Exception, dependency: Dependency) -> None:
    assert cause_of(error, SPEC).dependency == dependency


def test_what_a_neighbour_asks_for_is_kept() -> None:
    assert cause_of(Unavailable("x", retry_after=7.5), SPEC).asked_seconds == 7.5


def test_an_account_is_a_tenant_and_a_secret_whatever_reads_with_it() -> None:
    first, other = keyed("acme", "openai_key"), keyed("widgets", "openai_key")
    twin = first.model_copy(update={"pipeline": "p_other"})
    assert account_of(first) == account_of(twin)
    assert account_of(first).neighbour is Neighbour.SOURCE
    assert len({account_of(first), account_of(other), account_of(keyed("acme", None))}) == 3


@pytest.mark.parametrize(
    ("reason", "kind", "transient", "expected", "dependency"),
    [
        ("SOURCE_UNAVAILABLE", "source", True, ErrorClass.TRANSIENT, account_of(SPEC)),
        ("SOURCE_RATE_LIMITED", "quota", True, ErrorClass.QUOTA, account_of(SPEC)),
        ("SOURCE_FORBIDDEN", "source", False, ErrorClass.SOURCE, account_of(SPEC)),
        ("CONTRACT_BROKEN", "data", False, ErrorClass.DATA, WORKERS),
        ("WAREHOUSE_UNAVAILABLE", "platform", True, ErrorClass.TRANSIENT, WAREHOUSE),
        ("INTERNAL", "platform", True, ErrorClass.TRANSIENT, WORKERS),
    ],
)
def test_a_worker_says_who_is_to_blame_for_a_chunk(
    reason: str, kind: str, transient: bool, expected: ErrorClass, dependency: Dependency
) -> None:
    failure = Failure.model_validate({"kind": kind, "reason": reason, "message": "m", "advice": ""})
    cause = cause_of_chunk(failure, SPEC, transient=transient, asked_seconds=3.0)
    assert (cause.error_class, cause.dependency) == (expected, dependency)
    assert cause.asked_seconds == 3.0
