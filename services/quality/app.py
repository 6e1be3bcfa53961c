"""The quality service's settings and wiring."""

import contextlib
import time
from collections.abc import AsyncGenerator, Mapping

from convergence.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from convergence.quality.v1 import quality_service_pb2, quality_service_pb2_grpc
from pydantic_settings import SettingsConfigDict

from libs.bigquery.client import Connection, connect
from libs.common.app import Host
from libs.common.channel import open_channel, translated
from libs.common.errors import NotFound, Unavailable
from libs.common.identity import Principal, TokenVerifier
from libs.common.rpc import Scoped
from libs.common.settings import ServiceSettings
from services.quality.bigquery_statistics import BigQueryStatistics
from services.quality.servicer import QualityServicer
from services.quality.statistics import TableStatistics

AUTH = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name
QUALITY = quality_service_pb2.DESCRIPTOR.services_by_name["QualityService"]
SCOPES = {f"/{QUALITY.full_name}/{method.name}": "" for method in QUALITY.methods}
CALL_SECONDS = 5.0


class Settings(ServiceSettings):
    """Settings of the quality service."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_QUALITY_")

    auth: str = "127.0.0.1:50052"
    """Address of the auth service, for the keys that tokens are verified with."""


class RunOfAnother(NotFound):
    """Another tenant's run answers as a missing one does."""

    reason = "RUN_NOT_FOUND"


class AuthUnavailable(Unavailable):
    """auth cannot be asked for its keys; nothing is known about the token."""

    reason = "AUTH_UNAVAILABLE"


def missing(method: str, name: str) -> NotFound:
    """Return what another tenant's name answers."""
    del method
    return RunOfAnother(f"no run {name}", name=name)


@contextlib.asynccontextmanager
async def attach(host: Host, settings: Settings) -> AsyncGenerator[None]:
    """Open BigQuery and register the service; close it all on exit."""
    bigquery = connect(
        Connection(
            project=settings.bigquery_project,
            location=settings.bigquery_location,
            rest_endpoint=settings.bigquery_endpoint,
            storage_endpoint=settings.bigquery_storage_endpoint,
        )
    )
    with contextlib.closing(bigquery):
        async with attach_statistics(host, settings, BigQueryStatistics(bigquery)):
            yield


@contextlib.asynccontextmanager
async def attach_statistics(
    host: Host, settings: Settings, statistics: TableStatistics
) -> AsyncGenerator[None]:
    """Register the service over somebody who can read tables."""
    async with open_channel(settings.auth, retried=[AUTH]) as channel:
        stub = auth_service_pb2_grpc.AuthServiceStub(channel)

        async def fetch_keys() -> Mapping[str, bytes]:
            try:
                with translated():
                    response = await stub.ListSigningKeys(
                        auth_service_pb2.ListSigningKeysRequest(), timeout=CALL_SECONDS
                    )
            except Unavailable as error:
                text = "auth does not answer, so no token can be verified; repeat the call"
                raise AuthUnavailable(text) from error
            return {key.key_id: key.public_key for key in response.keys}

        verifier = TokenVerifier("quality", fetch_keys, clock=time.time)

        async def authenticate(metadata: Mapping[str, str], peer: str) -> Principal:
            del peer
            return await verifier.authenticate(metadata)

        host.guard(Scoped(authenticate, SCOPES, missing))
        host.describe([QUALITY.full_name])
        quality_service_pb2_grpc.add_QualityServiceServicer_to_server(
            QualityServicer(statistics), host.server
        )
        yield
