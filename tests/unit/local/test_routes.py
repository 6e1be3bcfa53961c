"""Which calls the edge forwards, and to whom."""

import pytest

from libs.local.edge.routes import owner


@pytest.mark.parametrize(
    ("method", "service"),
    [
        ("/convergence.auth.v1.TenantService/CreateTenant", "auth"),
        ("/convergence.auth.v1.ApiKeyService/CreateApiKey", "auth"),
        ("/convergence.orchestrator.v1.RunService/CreateRun", "orchestrator"),
        ("/convergence.orchestrator.v1.ScheduleService/GetSchedule", "orchestrator"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "orchestrator"),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "orchestrator"),
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
        "/grpc.channelz.v1.Channelz/GetServers",
        "/convergence.auth.v1.TenantService",
        "",
    ],
)
def test_nothing_else_is_forwarded(method: str) -> None:
    assert owner(method) is None
