"""auth on a free port of this process, over stores in memory, and what its callers see."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from convergence.auth.v1 import (
    api_key_service_pb2_grpc,
    auth_service_pb2_grpc,
    tenant_service_pb2_grpc,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.common.app import Host, hosted
from libs.common.channel import open_channel
from libs.common.names import PLATFORM
from services.auth import keys
from services.auth.app import Settings, attach_stores
from services.auth.key_store import MemoryKeyStore
from services.auth.keys import KeyRecord
from services.auth.private_files import create_private
from services.auth.signing_keys import MemorySigningKeyStore
from services.auth.tenant_store import MemoryTenantStore
from services.auth.tenants import Limits, Tenant
from services.auth.tokens import SigningKey

NOW = datetime.now(UTC)
ROOT = keys.new_secret(PLATFORM)
ADMIN = keys.new_secret("acme")
READER = keys.new_secret("acme")
CREDENTIAL = "the orchestrator's own"
ACME = Tenant(
    tenant_id="acme",
    create_time=NOW,
    update_time=NOW,
    limits=Limits(
        calls_per_second=1000,
        call_burst=2000,
        live_run_count=3,
        slot_weight=1.5,
        chunk_count=8,
        read_bytes_per_day=5_000_000_000,
    ),
)
WIDGETS = Tenant(tenant_id="widgets", create_time=NOW, update_time=NOW)


def record(secret: str, tenant: str, **fields: Any) -> KeyRecord:
    digest = keys.digest_of(secret)
    plain = KeyRecord(
        digest=digest, tenant=tenant, key_id=keys.derived_key_id(digest), create_time=NOW
    )
    return dataclasses.replace(plain, **fields)


@dataclasses.dataclass(slots=True, kw_only=True)
class Served:
    """A running auth: its stores, and stubs of its services."""

    keys: MemoryKeyStore
    tenants: MemoryTenantStore
    signing: MemorySigningKeyStore
    host: Host
    channel: grpc.aio.Channel
    address: str

    @property
    def auth(self) -> auth_service_pb2_grpc.AuthServiceAsyncStub:
        return auth_service_pb2_grpc.AuthServiceStub(self.channel)

    @property
    def tenant_service(self) -> tenant_service_pb2_grpc.TenantServiceAsyncStub:
        return tenant_service_pb2_grpc.TenantServiceStub(self.channel)

    @property
    def key_service(self) -> api_key_service_pb2_grpc.ApiKeyServiceAsyncStub:
        return api_key_service_pb2_grpc.ApiKeyServiceStub(self.channel)

    async def serving(self) -> bool:
        stub: Any = health_pb2_grpc.HealthStub(self.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def settled(self) -> Served:
        """Return once the tables were read, or found missing."""
        async with asyncio.timeout(5):
            while not await self.serving():
                await asyncio.sleep(0.02)
        return self


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    *,
    key_store: MemoryKeyStore | None = None,
    tenant_store: MemoryTenantStore | None = None,
    signing: MemorySigningKeyStore | None = None,
    promise_seconds: float = 60.0,
    **settings: Any,
) -> AsyncGenerator[Served]:
    """Run auth with the keys ROOT, ADMIN and READER of the tenants `acme` and `widgets`."""
    stores = {
        "key_store": key_store or MemoryKeyStore(*standing()),
        "tenant_store": tenant_store or MemoryTenantStore(ACME, WIDGETS),
        "signing_key_store": signing or MemorySigningKeyStore(SigningKey.generate()),
    }
    credential = folder / "credential"
    create_private(credential, CREDENTIAL.encode())
    known = {"orchestrator_credential": str(credential), "configs": str(folder)}
    configured = Settings(**{**known, **settings})

    def attach(host: Host, given: Settings) -> contextlib.AbstractAsyncContextManager[None]:
        return attach_stores(host, given, promise_seconds=promise_seconds, **stores)  # type: ignore[arg-type]

    async with (
        hosted("auth", configured, attach) as (host, address),
        open_channel(address) as channel,
    ):
        yield Served(
            keys=stores["key_store"],  # type: ignore[arg-type]
            tenants=stores["tenant_store"],  # type: ignore[arg-type]
            signing=stores["signing_key_store"],  # type: ignore[arg-type]
            host=host,
            channel=channel,
            address=address,
        )


def standing() -> tuple[KeyRecord, ...]:
    """Return the records of the three keys."""
    return (
        record(ROOT, PLATFORM, scopes=keys.SCOPES),
        record(ADMIN, "acme", scopes=frozenset({"tenant:admin", "runs:read"})),
        record(READER, "acme", scopes=frozenset({"runs:read"})),
    )


def key(secret: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call with a key."""
    return (("x-api-key", secret),)
