"""Pipelines of a tenant, as its files describe them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from convergence.orchestrator.v1 import pipeline_service_pb2 as pb
from convergence.orchestrator.v1.pipeline_pb2 import Pipeline
from convergence.orchestrator.v1.pipeline_service_pb2_grpc import PipelineServiceStub

from libs.client.connection import Connection, pages


class AsyncPipelines:
    """Shows and checks pipelines; changes nothing. Needs scope `pipelines:read`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = PipelineServiceStub(connection.channel)

    async def get(self, name: str) -> Pipeline:
        """Return `tenants/{tenant}/pipelines/{pipeline}`."""
        request = pb.GetPipelineRequest(name=name)
        return (await self._connection.call(self._stub.GetPipeline, request)).pipeline

    async def list(self, parent: str, *, limit: int | None = None) -> Sequence[Pipeline]:
        """Return the pipelines of `tenants/{tenant}` by id."""

        async def fetch(token: str, size: int) -> tuple[Iterable[Pipeline], str]:
            request = pb.ListPipelinesRequest(parent=parent, page_size=size, page_token=token)
            page = await self._connection.call(self._stub.ListPipelines, request)
            return page.pipelines, page.next_page_token

        return await pages(fetch, limit)

    async def validate(self, name: str) -> pb.ValidatePipelineResponse:
        """Return what is wrong with everything that a run would need, and the spec's hash."""
        request = pb.ValidatePipelineRequest(name=name)
        return await self._connection.call(self._stub.ValidatePipeline, request)

    async def plan(self, parent: str, *, window_time: datetime | None = None) -> pb.PlanRunResponse:
        """Return what a run of the pipeline `parent` would read and write.

        Args:
            parent: `tenants/{tenant}/pipelines/{pipeline}`.
            window_time: An aware moment in the day that the run is for; None means today
                minus the pipeline's lag.
        """
        request = pb.PlanRunRequest(parent=parent, window_time=window_time)
        return await self._connection.call(self._stub.PlanRun, request)
