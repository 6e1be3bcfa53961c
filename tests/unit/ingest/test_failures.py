"""What a failed chunk says: who is to act, what to do, and whether another try may help."""

import pytest
from convergence.common.v1.failure_pb2 import FailureKind
from google.protobuf.duration_pb2 import Duration

from libs.bigquery.failures import RowTooLarge, StreamsGone, WarehouseRejected, unavailable
from libs.common.errors import InvalidRequest
from libs.common.secrets import SecretNotFound, SecretNotPrivate, SecretStoreUnavailable
from services.ingest import failures
from services.ingest.failures import failed
from services.ingest.messages import failure_message


@pytest.mark.parametrize(
    ("error", "kind", "transient"),
    [
        (failures.SourceNotFound("x"), "SOURCE", False),
        (failures.SourceEmpty("x"), "SOURCE", False),
        (failures.SourceChanged("x"), "SOURCE", False),
        (failures.SourceUnauthenticated("x"), "SOURCE", False),
        (failures.SourceForbidden("x"), "SOURCE", False),
        (failures.SourceProtocolBroken("x"), "SOURCE", False),
        (failures.SourceUnavailable("x"), "SOURCE", True),
        (failures.SourceRateLimited("x"), "QUOTA", True),
        (failures.SourceMalformed("x"), "CONFIG", False),
        (failures.SourceNotAllowed("path", "x", found="y"), "CONFIG", False),
        (failures.SourceRefused("x"), "CONFIG", False),
        (failures.ColumnMissing("x"), "CONFIG", False),
        (failures.DeadlinePassed("x"), "PLATFORM", False),
        (SecretNotFound("x"), "CONFIG", False),
        (SecretNotPrivate("x"), "CONFIG", False),
        (SecretStoreUnavailable("x"), "PLATFORM", True),
        (InvalidRequest({"a": "b"}), "CONFIG", False),
        (RowTooLarge(9, 8), "DATA", False),
        (StreamsGone("x", ("s",)), "PLATFORM", True),
        (WarehouseRejected("x"), "PLATFORM", False),
        (unavailable("bigquery", "append"), "PLATFORM", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_has_its_reason_a_kind_and_advice(
    error: Exception, kind: str, transient: bool
) -> None:
    message = failure_message(failed(error))
    assert FailureKind.Name(message.failure.kind) == f"FAILURE_KIND_{kind}"
    assert message.failure.reason == error.reason  # type: ignore[attr-defined]
    assert message.failure.message == str(error)
    assert message.failure.advice
    assert message.failure.data_safe
    assert message.transient is transient


def test_an_unexpected_error_says_only_that_it_was_unexpected() -> None:
    message = failure_message(failed(RuntimeError("sk-admin-secret")))
    assert (message.failure.reason, message.transient) == ("INTERNAL", True)
    assert "sk-admin" not in str(message)


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (
            failures.SourceRateLimited("x", retry_after=40.5),
            Duration(seconds=40, nanos=500_000_000),
        ),
        (failures.SourceUnavailable("x", retry_after=5.0), Duration(seconds=5)),
    ],
    ids=["rate limited", "unavailable"],
)
def test_a_delay_that_the_source_asks_for_is_handed_on(error: Exception, delay: Duration) -> None:
    assert failure_message(failed(error)).retry_delay == delay


def test_without_a_delay_none_is_said() -> None:
    message = failure_message(failed(failures.SourceMalformed("x")))
    assert not message.HasField("retry_delay")
