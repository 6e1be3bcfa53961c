"""The quality service's settings and wiring."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from convergence.quality.v1 import quality_service_pb2, quality_service_pb2_grpc
from pydantic_settings import SettingsConfigDict

from libs.bigquery.client import Connection, connect
from libs.common.app import Host
from libs.common.inside import guarded
from libs.common.settings import ServiceSettings
from services.quality.bigquery_statistics import BigQueryStatistics
from services.quality.servicer import QualityServicer
from services.quality.statistics import TableStatistics

QUALITY: Final = quality_service_pb2.DESCRIPTOR.services_by_name["QualityService"]


class Settings(ServiceSettings):
    """Settings of the quality service."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_QUALITY_")

    auth: str = "127.0.0.1:50052"
    """Address of the auth service, for the keys that tokens are verified with."""


@contextlib.asynccontextmanager
async def attach(host: Host, settings: Settings) -> AsyncGenerator[None]:
    """Open BigQuery and register the service; close it all on exit."""
    bigquery = connect(Connection.of(settings))
    with contextlib.closing(bigquery):
        async with attach_statistics(host, settings, BigQueryStatistics(bigquery)):
            yield


@contextlib.asynccontextmanager
async def attach_statistics(
    host: Host, settings: Settings, statistics: TableStatistics
) -> AsyncGenerator[None]:
    """Register the service over somebody who can read tables."""
    async with guarded(host, QUALITY, audience="quality", auth=settings.auth):
        quality_service_pb2_grpc.add_QualityServiceServicer_to_server(
            QualityServicer(statistics), host.server
        )
        yield
