"""Statuses stay small, and a request's resource is found by field."""

import grpc
import pytest
from convergence.auth.v1 import api_key_service_pb2, auth_service_pb2, tenant_service_pb2
from convergence.auth.v1.auth_service_pb2 import IssueRunTokenRequest, ListSigningKeysRequest
from convergence.auth.v1.tenant_pb2 import Tenant
from convergence.auth.v1.tenant_service_pb2 import CreateTenantRequest, UpdateTenantRequest
from convergence.ingest.v1 import ingest_service_pb2
from convergence.orchestrator.v1 import pipeline_service_pb2, run_service_pb2
from convergence.orchestrator.v1.run_service_pb2 import CreateRunRequest, GetRunRequest
from convergence.quality.v1 import quality_service_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2

from libs.common import errors
from libs.common.rpc import CODES, MOST_DETAIL_BYTES, resource_of, to_status

MANY = {f"pipelines/p_{number}.yml": f"found {'x' * 300}" for number in range(200)}


def every_kind() -> set[type[errors.ServiceError]]:
    found = {errors.ServiceError}
    while more := {sub for kind in found for sub in kind.__subclasses__()} - found:
        found |= {kind for kind in more if kind.__module__ == errors.__name__}
        if not any(kind.__module__ == errors.__name__ for kind in more):
            break
    return found


def test_every_kind_has_a_code_of_its_own() -> None:
    assert every_kind() - set(CODES) == {errors.ServiceError, errors.Delayed}
    assert len(set(CODES.values())) == len(CODES)
    grpcs_own = {"UNKNOWN", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL"}
    assert not grpcs_own & {code.name for code in CODES.values()}


def test_a_concrete_error_has_the_code_of_its_kind() -> None:
    class RunNotFound(errors.NotFound):
        reason = "RUN_NOT_FOUND"

    code, status = to_status(RunNotFound("no run r"))
    assert (code, status.code) == (grpc.StatusCode.NOT_FOUND, 5)


@pytest.mark.parametrize(
    "error",
    [errors.InvalidRequest(MANY), errors.FailedPrecondition("wrong files", violations=MANY)],
    ids=["InvalidRequest", "FailedPrecondition"],
)
def test_a_status_of_many_violations_stays_below_the_limit_of_metadata(
    error: errors.ServiceError,
) -> None:
    _, status = to_status(error)
    assert status.ByteSize() <= MOST_DETAIL_BYTES
    bad = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad)
    *shown, left = bad.field_violations
    assert [violation.field for violation in shown] == list(MANY)[: len(shown)]
    assert len(shown) >= 3
    assert left.description == f"{len(MANY) - len(shown)} more are left out"


def test_a_status_of_long_metadata_stays_below_the_limit_of_metadata() -> None:
    _, status = to_status(errors.NotFound("none", reason="RUN_NOT_FOUND", name="x" * 10_000))
    assert status.ByteSize() <= MOST_DETAIL_BYTES
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.reason == "RUN_NOT_FOUND"
    assert info.metadata["name"].startswith("xxx")


def test_a_long_violation_is_cut() -> None:
    _, status = to_status(errors.InvalidRequest({"suite": "é" * 6_000}, "the suite is wrong"))
    assert status.ByteSize() <= MOST_DETAIL_BYTES


WITHOUT_RESOURCE = {
    "AuthService/Authenticate": "says who a key is",
    "AuthService/ListSigningKeys": "is public",
    "TenantService/CreateTenant": "needs platform:admin",
    "TenantService/ListTenants": "needs platform:admin",
}
SERVICES = [
    service
    for file in (
        *(auth_service_pb2, tenant_service_pb2, api_key_service_pb2),
        *(run_service_pb2, pipeline_service_pb2, ingest_service_pb2, quality_service_pb2),
    )
    for service in file.DESCRIPTOR.services_by_name.values()
]


@pytest.mark.parametrize(
    "method",
    [method for service in SERVICES for method in service.methods],
    ids=lambda method: method.full_name,
)
def test_every_rpc_names_its_resource_where_tenants_are_compared(method: MethodDescriptor) -> None:
    request = GetMessageClass(method.input_type)()
    for field in ("name", "parent", "run"):
        if field in method.input_type.fields_by_name:
            setattr(request, field, "tenants/a1")
    if "tenant" in method.input_type.fields_by_name and not hasattr(request, "tenant_id"):
        request.tenant.name = "tenants/a1"  # type: ignore[attr-defined]
    known = f"{method.containing_service.name}/{method.name}"
    assert (resource_of(request) == "tenants/a1") != (known in WITHOUT_RESOURCE)


@pytest.mark.parametrize(
    ("request_", "resource"),
    [
        (GetRunRequest(name="tenants/a1/pipelines/p/runs/r"), "tenants/a1/pipelines/p/runs/r"),
        (CreateRunRequest(parent="tenants/a1/pipelines/p"), "tenants/a1/pipelines/p"),
        (
            IssueRunTokenRequest(run="tenants/a1/pipelines/p/runs/r"),
            "tenants/a1/pipelines/p/runs/r",
        ),
        (UpdateTenantRequest(tenant=Tenant(name="tenants/a1")), "tenants/a1"),
        (CreateTenantRequest(tenant_id="a1"), ""),
        (ListSigningKeysRequest(), ""),
        (None, ""),
    ],
    ids=["name", "parent", "run", "tenant", "tenant without a name", "nothing", "a stream"],
)
def test_the_resource_of_a_request_is_found_by_field(
    request_: Message | None, resource: str
) -> None:
    assert resource_of(request_) == resource
