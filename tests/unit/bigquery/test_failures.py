from collections.abc import Callable

import google.auth.exceptions
import pytest
import requests
from google.api_core import exceptions

from libs.bigquery.append_answers import refusal
from libs.bigquery.failures import (
    AppendRejected,
    OffsetOutOfRange,
    StreamSealed,
    StreamsGone,
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


def made(kind: Callable[..., Exception], *rest: object, **details: object) -> Exception:
    """Return an exception of a driver whose text must not leave."""
    return kind(SECRET, *rest, **details)


BUSY = {"reason": "rateLimitExceeded", "message": SECRET}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (made(exceptions.ServiceUnavailable), WarehouseUnavailable),
        (made(exceptions.InternalServerError), WarehouseUnavailable),
        (made(exceptions.RetryError, None), WarehouseUnavailable),
        (made(exceptions.DeadlineExceeded), WarehouseUnavailable),
        (made(exceptions.Cancelled), WarehouseUnavailable),
        (made(exceptions.Unknown), WarehouseUnavailable),
        (made(exceptions.Forbidden, errors=[BUSY]), WarehouseUnavailable),
        (made(requests.exceptions.ConnectionError), WarehouseUnavailable),
        (made(TimeoutError), WarehouseUnavailable),
        (made(exceptions.NotFound), TableNotFound),
        (made(exceptions.Forbidden), WarehouseForbidden),
        (made(google.auth.exceptions.DefaultCredentialsError), WarehouseForbidden),
        (made(exceptions.PreconditionFailed), WarehouseConflict),
        (made(exceptions.Conflict), AlreadyExists),
        (made(exceptions.BadRequest), WarehouseRejected),
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
    found = kind_of(made(exceptions.ServiceUnavailable), "http://there", "run a query")
    assert found.reason == "WAREHOUSE_UNAVAILABLE"
    assert found.metadata == {"endpoint": "http://there"}
    assert "http://there" in str(found)


def test_the_drivers_exception_is_kept_as_the_cause() -> None:
    cause = made(exceptions.ServiceUnavailable)
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
