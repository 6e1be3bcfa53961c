"""quality on a free port of this process, beside a real auth that signs its callers' tokens."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from convergence.quality.v1 import quality_service_pb2 as pb
from convergence.quality.v1 import quality_service_pb2_grpc, suite_pb2

from libs.common.app import Host, hosted
from libs.common.channel import open_channel
from services.auth.signing_keys import MemorySigningKeyStore
from services.auth.tokens import Signer, SigningKey
from services.quality.app import Settings, attach_statistics
from services.quality.statistics import TableStatistics
from tests.integration.auth.serving import Served, served

TENANT = "acme"
PIPELINE = f"tenants/{TENANT}/pipelines/p"
RUN = f"{PIPELINE}/runs/r1"
STAGING = f"local.{TENANT}_staging.usage__r1"


@dataclasses.dataclass(slots=True, kw_only=True)
class Quality:
    """A running quality: its stub, the auth beside it, and the key that auth signs with."""

    stub: quality_service_pb2_grpc.QualityServiceAsyncStub
    auth: Served
    signing: SigningKey

    async def compile(
        self, request: pb.CompileSuiteRequest, **token: Any
    ) -> suite_pb2.CompiledSuite:
        response = await self.stub.CompileSuite(request, metadata=self.shown(**token))
        return response.suite

    async def evaluate(
        self, request: pb.EvaluateTableRequest, **token: Any
    ) -> pb.EvaluateTableResponse:
        return await self.stub.EvaluateTable(request, metadata=self.shown(**token))

    def shown(self, **token: Any) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call with a token of this quality's auth."""
        return bearer(self.signing, **token)


def bearer(
    key: SigningKey,
    *,
    tenant: str = TENANT,
    audiences: Iterable[str] = ("quality",),
    run: str = RUN,
    age: timedelta = timedelta(),
) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call with a token that `key` signed `age` ago."""
    token = Signer([key]).sign(
        tenant=tenant, audiences=audiences, scopes=(), now=datetime.now(UTC) - age, run=run
    )
    return (("authorization", f"Bearer {token.text}"),)


@contextlib.asynccontextmanager
async def quality_over(folder: Path, statistics: TableStatistics) -> AsyncGenerator[Quality]:
    """Run quality over somebody who can read tables."""
    signing = SigningKey.generate()
    settings = Settings(listen="127.0.0.1:0")

    async with served(folder, signing=MemorySigningKeyStore(signing), listen="127.0.0.1:0") as auth:
        configured = settings.model_copy(update={"auth": auth.address})

        def attach(host: Host, given: Settings) -> contextlib.AbstractAsyncContextManager[None]:
            return attach_statistics(host, given, statistics)

        async with (
            hosted("quality", configured, attach) as (_, address),
            open_channel(address) as channel,
        ):
            await auth.settled()
            yield Quality(stub=stub_of(channel), auth=auth, signing=signing)


def stub_of(channel: grpc.aio.Channel) -> quality_service_pb2_grpc.QualityServiceAsyncStub:
    return quality_service_pb2_grpc.QualityServiceStub(channel)


def document(*expectations: dict[str, Any], **keys: Any) -> str:
    """Return a suite as Great Expectations writes it."""
    meta = {"great_expectations_version": "1.24.1"}
    return json.dumps(
        {"name": "s", "meta": meta, "notes": None, "expectations": [*expectations], **keys}
    )


def expect(type_: str, **kwargs: Any) -> dict[str, Any]:
    """Return `expect_{type_}` with kwargs."""
    return {"type": f"expect_{type_}", "kwargs": kwargs, "meta": {}, "severity": "critical"}


def columns(**types: str) -> list[pb.SuiteColumn]:
    """Return columns by type."""
    return [pb.SuiteColumn(name=name, type=type_) for name, type_ in types.items()]


def compiling(
    suite: str, given: Sequence[pb.SuiteColumn], parent: str = PIPELINE
) -> pb.CompileSuiteRequest:
    return pb.CompileSuiteRequest(parent=parent, suite_document=suite, columns=given)
