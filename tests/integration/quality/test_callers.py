"""Who may call quality: tokens of auth for it, and names of their own tenant."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from convergence.quality.v1 import quality_service_pb2 as pb

from libs.common.app import Host, hosted
from libs.common.channel import open_channel
from libs.common.errors import Delayed
from services.auth.tokens import SigningKey
from services.quality.app import Settings, attach, attach_statistics
from services.quality.statistics import MemoryTableStatistics
from tests.integration.quality.conftest import InMemory
from tests.integration.quality.serving import (
    RUN,
    Quality,
    bearer,
    columns,
    compiling,
    document,
    expect,
    quality_over,
    stub_of,
)
from tests.support.refusals import refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOWHERE = "127.0.0.1:9"
COLUMNS = columns(n="INT64")
COMPILE = compiling(document(), COLUMNS)
EVALUATE = pb.EvaluateTableRequest(run=RUN, suite_document=document(), columns=COLUMNS)
CALLS = {"CompileSuite": COMPILE, "EvaluateTable": EVALUATE}


@pytest.fixture(params=sorted(CALLS))
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def call(quality: Quality, method: str, shown: Any, **fields: Any) -> Any:
    """Call a method with a request that is right but for `fields`."""
    request = type(CALLS[method])()
    request.CopyFrom(CALLS[method])
    for field, value in fields.items():
        setattr(request, field, value)
    return await getattr(quality.stub, method)(request, metadata=shown)


async def test_a_token_of_auth_for_quality_is_enough(in_memory: InMemory, method: str) -> None:
    response = await call(in_memory.quality, method, in_memory.quality.shown())
    assert isinstance(response, pb.CompileSuiteResponse | pb.EvaluateTableResponse)


@pytest.mark.parametrize(
    "shown",
    [(), (("x-api-key", "cvg_acme_x"),), (("authorization", "Basic eDp5"),)],
    ids=["nothing", "a key", "another scheme"],
)
async def test_without_a_token_nothing_is_said(
    in_memory: InMemory, method: str, shown: Any
) -> None:
    with refused("UNAUTHENTICATED", "CREDENTIAL_MISSING"):
        await call(in_memory.quality, method, shown)


def unsigned(quality: Quality) -> tuple[tuple[str, str], ...]:
    """Return a token whose header says that it needs no signature."""
    (_, text), *_ = quality.shown()
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()
    return (("authorization", f"Bearer {header}.{text.split('.')[1]}."),)


FORGED: dict[str, Callable[[Quality], Any]] = {
    "no token": lambda _: (("authorization", "Bearer x.y.z"),),
    "unsigned": unsigned,
    "another key": lambda _: bearer(SigningKey.generate()),
    "another audience": lambda quality: quality.shown(audiences=("ingest", "orchestrator")),
    "over": lambda quality: quality.shown(age=timedelta(hours=1)),
}


@pytest.mark.parametrize("forged", sorted(FORGED))
async def test_a_token_that_auth_did_not_sign_for_quality_is_refused(
    in_memory: InMemory, method: str, forged: str
) -> None:
    with refused("UNAUTHENTICATED", "IDENTITY_TOKEN_INVALID") as refusal:
        await call(in_memory.quality, method, FORGED[forged](in_memory.quality))
    assert refusal.metadata["cause"] != ""


async def test_another_tenants_names_are_missing(in_memory: InMemory, method: str) -> None:
    field = "run" if method == "EvaluateTable" else "parent"
    name = "tenants/widgets/pipelines/p/runs/r1"
    with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
        await call(in_memory.quality, method, in_memory.quality.shown(), **{field: name})
    assert refusal.metadata == {"name": name}


async def test_another_tenants_token_finds_nothing(in_memory: InMemory, method: str) -> None:
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        await call(in_memory.quality, method, in_memory.quality.shown(tenant="widgets"))


async def test_tenants_whose_names_begin_alike_are_not_confused(in_memory: InMemory) -> None:
    shown = in_memory.quality.shown(tenant="acme_corp")
    with refused("NOT_FOUND", "RUN_NOT_FOUND"):
        await call(in_memory.quality, "CompileSuite", shown)


async def test_known_keys_verify_while_auth_is_away(tmp_path: Path) -> None:
    async with quality_over(tmp_path, MemoryTableStatistics()) as running:
        await call(running, "CompileSuite", running.shown())
        await running.auth.host.server.stop(0)
        await call(running, "CompileSuite", running.shown(run=f"{RUN}2"))


@pytest_asyncio.fixture(loop_scope="module")
async def alone() -> AsyncGenerator[grpc.aio.Channel]:
    """quality whose auth does not answer."""

    def attach_memory(host: Host, given: Settings) -> Any:
        return attach_statistics(host, given, MemoryTableStatistics())

    settings = Settings(listen="127.0.0.1:0", auth=NOWHERE)
    async with (
        hosted("quality", settings, attach_memory) as (_, address),
        open_channel(address) as channel,
    ):
        yield channel


async def test_without_auth_no_token_can_be_judged(alone: grpc.aio.Channel) -> None:
    with refused("UNAVAILABLE", "AUTH_UNAVAILABLE") as refusal:
        await stub_of(alone).CompileSuite(COMPILE, metadata=bearer(SigningKey.generate()))
    assert isinstance(refusal.error, Delayed)


async def test_quality_starts_while_all_its_neighbours_are_away(tmp_path: Path) -> None:
    settings = Settings(
        listen="127.0.0.1:0",
        auth=NOWHERE,
        bigquery_endpoint=f"http://{NOWHERE}",
        bigquery_storage_endpoint=NOWHERE,
    )
    async with (
        hosted("quality", settings, attach) as (host, address),
        open_channel(address) as channel,
    ):
        assert host.ready
        with refused("UNAUTHENTICATED", "CREDENTIAL_MISSING"):
            await stub_of(channel).CompileSuite(
                compiling(document(expect("column_to_exist", column="n")), COLUMNS)
            )
