"""Which calls the edge forwards, and to whom."""

import pytest
from google.protobuf.descriptor_pool import Default

from libs.local.edge.routes import WHOLE, owner
from services.orchestrator.api.access import EDGE_SERVICES


@pytest.mark.parametrize(
    ("method", "service"),
    [
        ("/convergence.auth.v1.TenantService/CreateTenant", "auth"),
        ("/convergence.auth.v1.ApiKeyService/CreateApiKey", "auth"),
        ("/convergence.orchestrator.v1.RunService/CreateRun", "orchestrator"),
        ("/convergence.orchestrator.v1.ScheduleService/GetSchedule", "orchestrator"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "orchestrator"),
    ],
)
def test_tenants_reach_the_services_that_are_theirs(method: str, service: str) -> None:
    assert owner(method) == service


@pytest.mark.parametrize(
    "method",
    [
        "/convergence.auth.v1.AuthService/Authenticate",
        "/convergence.auth.v1.AuthService/IssueRunToken",
        "/convergence.auth.v1.TenantServiceX/CreateTenant",
        "/convergence.ingest.v1.IngestService/IngestChunk",
        "/convergence.quality.v1.QualityService/EvaluateTable",
        "/convergence.orchestrator.v2.RunService/CreateRun",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
        "/convergence.auth.v1.TenantService",
        "",
    ],
)
def test_nothing_else_is_forwarded(method: str) -> None:
    assert owner(method) is None


def test_every_request_of_one_message_is_known_to_be_one() -> None:
    methods = [
        method
        for service in EDGE_SERVICES
        for method in Default().FindServiceByName(service).methods
        if not method.client_streaming
    ]
    assert {f"/{one.containing_service.full_name}/{one.name}" for one in methods} == WHOLE
    assert all(owner(method) for method in WHOLE)
