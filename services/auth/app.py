"""Settings of auth, and how it is put together."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pydantic
from convergence.auth.v1 import (
    api_key_service_pb2_grpc,
    auth_service_pb2_grpc,
    tenant_service_pb2_grpc,
)
from pydantic_settings import SettingsConfigDict

from libs.bigquery.client import Connection, connect
from libs.common.app import Host
from libs.common.limits import RateLimiter
from libs.common.peers import LOOPBACK, Proxies, networks
from libs.common.settings import ServiceSettings
from libs.kubernetes.names import SCHEME, ObjectName
from services.auth.access import PACKAGE, AuthAccess
from services.auth.api_key_servicer import ApiKeyServicer
from services.auth.auth_servicer import AuthServicer
from services.auth.authentication import Authentication
from services.auth.bigquery_keys import BigQueryKeyStore
from services.auth.bigquery_tenants import BigQueryTenantStore
from services.auth.directory import Directory
from services.auth.file_signing_keys import FileSigningKeyStore
from services.auth.key_admin import KeyAdmin
from services.auth.key_store import KeyStore
from services.auth.prometheus_metrics import PrometheusMetrics
from services.auth.run_authority import RunAuthority, SharedKeyAuthority
from services.auth.signing_keys import SigningKeys, SigningKeyStore
from services.auth.tenant_admin import TenantAdmin
from services.auth.tenant_servicer import TenantServicer
from services.auth.tenant_store import TenantStore

READINESS_SECONDS: Final = 0.25
PROMISE_SECONDS: Final = 60.0
"""Within this time a revoked key stops working everywhere."""


class Settings(ServiceSettings):
    """What auth reads from the environment."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_AUTH_", extra="ignore")

    signing_key: str = "file:.convergence/keys/signing_key.pem"
    """Where the key is that signs identity tokens: `file:PATH`, owner only, or `kubernetes://NAMESPACE/SECRET`."""
    orchestrator_credential: str = ".convergence/keys/orchestrator_credential"
    """How the orchestrator is known that asks for tokens of runs: an owner-only file with the key that it
    shows, or `kubernetes://NAMESPACE/SERVICEACCOUNT` whose token it shows."""
    configs: str = ""
    """Folder of the tenants' config folders; empty: no tenant comes to be by a row made by hand."""
    refresh_seconds: float = pydantic.Field(default=20.0, gt=0, le=30.0)
    """How often both tables are read; with the edge's cache of the same length it stays below 60 s."""
    calls_per_second: float = pydantic.Field(default=50.0, gt=0)
    """Calls of one tenant to auth's own edge on average, and twice as many at once after a pause,
    where the tenant has no limit of its own."""
    trusted_proxies: Proxies = LOOPBACK
    """Networks whose `x-forwarded-for` is believed when failures are counted by address."""

    @pydantic.field_validator("signing_key")
    @classmethod
    def _signing_key(cls, text: str) -> str:
        if ObjectName.parse(text) is None and not (
            text.startswith("file:") and text.removeprefix("file:")
        ):
            raise ValueError(f"found {text!r}; allowed is file:PATH, or {SCHEME}NAMESPACE/SECRET")
        return text

    @pydantic.field_validator("orchestrator_credential")
    @classmethod
    def _credential(cls, text: str) -> str:
        ObjectName.parse(text)
        return text


@contextlib.contextmanager
def opened_signing_keys(settings: Settings) -> Generator[SigningKeyStore]:
    """Give where the signing key is kept."""
    secret = ObjectName.parse(settings.signing_key)
    if secret is None:
        yield FileSigningKeyStore(Path(settings.signing_key.removeprefix("file:")))
        return
    # Half a second and 40 MiB that only a cluster needs.
    from libs.kubernetes.cluster import Cluster  # noqa: PLC0415
    from services.auth.kubernetes_signing_keys import KubernetesSigningKeyStore  # noqa: PLC0415

    with contextlib.closing(Cluster.open()) as cluster:
        yield KubernetesSigningKeyStore(cluster, secret)


@contextlib.contextmanager
def opened_authority(settings: Settings) -> Generator[RunAuthority]:
    """Give who knows the orchestrator."""
    account = ObjectName.parse(settings.orchestrator_credential)
    if account is None:
        yield SharedKeyAuthority(Path(settings.orchestrator_credential))
        return
    from libs.kubernetes.cluster import Cluster  # noqa: PLC0415
    from services.auth.kubernetes_run_authority import KubernetesAuthority  # noqa: PLC0415

    with contextlib.closing(Cluster.open()) as cluster:
        yield KubernetesAuthority(cluster, account, monotonic=time.monotonic)


@contextlib.asynccontextmanager
async def attach(host: Host, settings: Settings) -> AsyncGenerator[None]:
    """Open BigQuery and register auth on `host`; write what is in memory and close on exit."""
    with connect(Connection.of(settings)) as bq, opened_signing_keys(settings) as signing_keys:
        async with attach_stores(
            host,
            settings,
            key_store=BigQueryKeyStore(bq),
            tenant_store=BigQueryTenantStore(bq),
            signing_key_store=signing_keys,
        ):
            yield


@contextlib.asynccontextmanager
async def attach_stores(
    host: Host,
    settings: Settings,
    *,
    key_store: KeyStore,
    tenant_store: TenantStore,
    signing_key_store: SigningKeyStore,
    promise_seconds: float = PROMISE_SECONDS,
) -> AsyncGenerator[None]:
    """Register auth on `host` over the stores given; its loops end with the server."""
    directory = Directory(
        key_store,
        tenant_store,
        clock=time.monotonic,
        refresh_seconds=settings.refresh_seconds,
        promise_seconds=promise_seconds,
    )
    signing_keys = SigningKeys(signing_key_store, clock=time.monotonic)
    authentication = Authentication(
        directory,
        signing_keys,
        PrometheusMetrics(host.registry, lambda: directory.age),
        clock=time.monotonic,
        now=_now,
        has_folder=_folders(settings.configs),
    )
    limiter = RateLimiter(rate=settings.calls_per_second, monotonic=time.monotonic)
    host.guard(AuthAccess(authentication, limiter, networks(settings.trusted_proxies)))
    host.ready = False
    host.background(directory.keep_fresh(), "key-table")
    host.background(signing_keys.keep_fresh(), "signing-keys")
    host.background(authentication.keep_writing_uses(), "key-uses")
    host.background(_keep_ready(host, directory), "readiness")
    try:
        with opened_authority(settings) as authority:
            _register(host, authority, directory, authentication)
            yield
    finally:
        if directory.healthy:
            await authentication.write_uses()
        await directory.close()
        await signing_keys.close()


def _register(
    host: Host, authority: RunAuthority, directory: Directory, authentication: Authentication
) -> None:
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(
        AuthServicer(authentication, authority), host.server
    )
    tenant_service_pb2_grpc.add_TenantServiceServicer_to_server(
        TenantServicer(TenantAdmin(directory, now=_now), now=_now), host.server
    )
    api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server(
        ApiKeyServicer(KeyAdmin(directory, now=_now), now=_now), host.server
    )
    services = ("AuthService", "TenantService", "ApiKeyService")
    host.describe(f"{PACKAGE}.{service}" for service in services)


async def _keep_ready(host: Host, directory: Directory) -> None:
    """Say NOT_SERVING while the key table is older than the promise."""
    while True:
        if host.ready != directory.serving and not host.draining.is_set():
            await host.set_ready(directory.serving)
        await asyncio.sleep(READINESS_SECONDS)


def _folders(configs: str) -> Callable[[str], bool]:
    root = Path(configs)
    return lambda tenant: bool(configs) and (root / tenant).is_dir()


def _now() -> datetime:
    return datetime.now(UTC)
