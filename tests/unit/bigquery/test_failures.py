import google.auth.exceptions
import pytest
import requests
from google.api_core import exceptions

from libs.bigquery.append_answers import refusal
from libs.bigquery.failures import (
    AppendRejected,
    OffsetOutOfRange,
    StreamsGone,
    StreamSealed,
    TableNotFound,
    WarehouseConflict,
    WarehouseForbidden,
    WarehouseRejected,
    WarehouseUnavailable,
    calling,
    kind_of,
)
from libs.common.errors import AlreadyExists, ServiceError

SECRET = "token=hunter2"
BUSY = {"reason": "rateLimitExceeded", "message": SECRET}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.ServiceUnavailable(SECRET), WarehouseUnavailable),
        (exceptions.InternalServerError(SECRET), WarehouseUnavailable),
        (exceptions.RetryError(SECRET, None), WarehouseUnavailable),
        (exceptions.DeadlineExceeded(SECRET), WarehouseUnavailable),
        (exceptions.Cancelled(SECRET), WarehouseUnavailable),
        (exceptions.Forbidden(SECRET, errors=[BUSY]), WarehouseUnavailable),
        (requests.exceptions.ConnectionError(SECRET), WarehouseUnavailable),
        (TimeoutError(SECRET), WarehouseUnavailable),
        (exceptions.NotFound(SECRET), TableNotFound),
        (exceptions.Forbidden(SECRET), WarehouseForbidden),
        (google.auth.exceptions.DefaultCredentialsError(SECRET), WarehouseForbidden),
        (exceptions.PreconditionFailed(SECRET), WarehouseConflict),
        (exceptions.Conflict(SECRET), AlreadyExists),
        (exceptions.BadRequest(SECRET), WarehouseRejected),
        (exceptions.Unknown(SECRET), WarehouseRejected),
    ],
)
def test_each_class_of_the_drivers_is_one_kind_and_its_text_stays_inside(
    error: Exception, kind: type[ServiceError]
) -> None:
    found = kind_of(error, "http://there", "read table a.b.c")
    assert type(found) is kind
    assert found.reason
    assert "read table a.b.c" in str(found)
    assert SECRET not in str(found)
    assert SECRET not in str(found.metadata)


def test_an_outage_names_the_endpoint_and_may_be_repeated() -> None:
    found = kind_of(exceptions.ServiceUnavailable("x"), "http://there", "run a query")
    assert found.reason == "WAREHOUSE_UNAVAILABLE"
    assert found.metadata == {"endpoint": "http://there"}
    assert "http://there" in str(found)


def test_the_drivers_exception_is_kept_as_the_cause() -> None:
    cause = exceptions.ServiceUnavailable("x")
    with pytest.raises(WarehouseUnavailable) as error, calling("there", "span", "do it"):
        raise cause
    assert error.value.__cause__ is cause


def test_bugs_are_not_dressed_up_as_kinds() -> None:
    with pytest.raises(ZeroDivisionError), calling("there", "span", "do it"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (3, AppendRejected),
        (5, StreamsGone),
        (7, WarehouseForbidden),
        (9, StreamSealed),
        (11, OffsetOutOfRange),
        (2, WarehouseRejected),
    ],
)
def test_each_code_of_an_append_is_one_kind(code: int, kind: type[ServiceError]) -> None:
    assert type(refusal(code, "projects/p/datasets/d/tables/t/streams/s")) is kind


def test_a_finalized_stream_is_sealed_whatever_the_code() -> None:
    assert isinstance(refusal(3, "t/streams/s", sealed=True), StreamSealed)
