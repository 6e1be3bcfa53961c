"""Who may call a worker, and for whom."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.common.channel import open_channel
from services.auth.tokens import SigningKey
from tests.integration.ingest.serving import Metadata, Served, served, token
from tests.support.refusals import refused
from tests.unit.ingest.asking import ingest_request, plan_request

Call = Callable[[Served, Metadata], Awaitable[object]]


async def plan(worker: Served, metadata: Metadata) -> object:
    return await worker.stub.PlanChunks(plan_request(), metadata=metadata)


async def ingest(worker: Served, metadata: Metadata) -> object:
    call = worker.stub.IngestChunk(ingest_request(), metadata=metadata)
    return [event async for event in call]


CALLS = pytest.mark.parametrize("call", [plan, ingest], ids=["PlanChunks", "IngestChunk"])


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncGenerator[Served]:
    async with served(tmp_path) as running:
        running.write("f.csv", "a\n1\n")
        yield running


@CALLS
async def test_a_call_without_a_token_is_unauthenticated(worker: Served, call: Call) -> None:
    with refused("UNAUTHENTICATED", "CREDENTIAL_MISSING"):
        await call(worker, ())


@CALLS
@pytest.mark.parametrize(
    "metadata",
    [
        (("authorization", "Bearer nothing"),),
        token(key=SigningKey.generate()),
        token(aud=["quality"]),
        token(iss="somebody"),
        token(exp=int(time.time()) - 1),
    ],
    ids=["no token", "unknown key", "for another service", "of another issuer", "over"],
)
async def test_a_token_that_auth_did_not_sign_for_ingest_is_refused(
    worker: Served, call: Call, metadata: Metadata
) -> None:
    with refused("UNAUTHENTICATED", "IDENTITY_TOKEN_INVALID") as refusal:
        await call(worker, metadata)
    assert refusal.metadata["cause"]


@CALLS
async def test_an_api_key_is_no_token(worker: Served, call: Call) -> None:
    with refused("UNAUTHENTICATED", "CREDENTIAL_MISSING"):
        await call(worker, (("x-api-key", "cvg_acme_x"),))


@CALLS
async def test_another_tenants_name_answers_as_a_missing_one(worker: Served, call: Call) -> None:
    with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
        await call(worker, token("widgets"))
    assert refusal.metadata["name"].startswith("tenants/acme/pipelines/p_usage")
    assert worker.sink.opened == 0


@CALLS
async def test_a_token_of_the_tenant_is_enough(worker: Served, call: Call) -> None:
    assert await call(worker, token())


async def test_a_worker_whose_auth_is_away_says_so(tmp_path: Path) -> None:
    async with served(tmp_path, auth="127.0.0.1:1") as worker:
        call: Any = worker.stub.PlanChunks(plan_request(), metadata=token(), timeout=20)
        with refused("UNAVAILABLE", "AUTH_UNAVAILABLE"):
            await call


async def test_a_worker_is_healthy_and_lists_its_service(worker: Served) -> None:
    async with open_channel(worker.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert worker.host.services == {"convergence.ingest.v1.IngestService"}
