"""An edge in this process whose answers a test chooses."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
from convergence.auth.v1 import api_key_service_pb2 as keys_pb
from convergence.auth.v1 import api_key_service_pb2_grpc as keys_grpc
from convergence.auth.v1 import tenant_service_pb2 as tenants_pb
from convergence.auth.v1 import tenant_service_pb2_grpc as tenants_grpc
from convergence.auth.v1.api_key_pb2 import ApiKey
from convergence.auth.v1.tenant_pb2 import Tenant, TenantState
from convergence.orchestrator.v1 import pipeline_service_pb2 as pipelines_pb
from convergence.orchestrator.v1 import pipeline_service_pb2_grpc as pipelines_grpc
from convergence.orchestrator.v1 import run_service_pb2 as runs_pb
from convergence.orchestrator.v1 import run_service_pb2_grpc as runs_grpc
from convergence.orchestrator.v1.pipeline_pb2 import FileError, Pipeline, WriteMode
from convergence.orchestrator.v1.run_pb2 import Run, RunEvent, RunState

from libs.common import errors
from libs.common.rpc import to_status

Context = grpc.aio.ServicerContext[Any, Any]
SERVER_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1))


async def refuse(context: Context, error: errors.ServiceError) -> None:
    """End the call as a service does that raised `error`."""
    code, status = to_status(error)
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, status.message, trailing)


class FakeRuns(runs_grpc.RunServiceServicer):
    """Runs that go through the states it was given, one a watch message.

    Dials: `failures` are raised by the next calls of any method, one each; `cut_after` ends a watch
    after so many messages; `refusal` is raised by CreateRun for ever.
    """

    def __init__(self, *states: RunState) -> None:
        self.states = states or (RunState.RUN_STATE_PENDING, RunState.RUN_STATE_SUCCEEDED)
        self.failures: list[errors.ServiceError] = []
        self.refusal: errors.ServiceError | None = None
        self.cut_after: int | None = None
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.known: dict[str, Run] = {}
        self.final = Run()

    async def _seen(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        if self.failures:
            await refuse(context, self.failures.pop(0))

    async def CreateRun(self, request: runs_pb.CreateRunRequest, context: Context) -> Any:
        await self._seen(request, context)
        if self.refusal:
            await refuse(context, self.refusal)
        run = Run(name=f"{request.parent}/runs/r1", state=self.states[0], attempt=1)
        return runs_pb.CreateRunResponse(run=self.known.setdefault(request.request_id, run))

    async def GetRun(self, request: runs_pb.GetRunRequest, context: Context) -> Any:
        await self._seen(request, context)
        if not request.name.startswith("tenants/acme_corp/"):
            text = f"no run {request.name}"
            missing = errors.NotFound(text, reason="RUN_NOT_FOUND", name=request.name)
            await refuse(context, missing)
        return runs_pb.GetRunResponse(run=self._at(request.name, len(self.states) - 1))

    async def ListRuns(self, request: runs_pb.ListRunsRequest, context: Context) -> Any:
        await self._seen(request, context)
        first = int(request.page_token or 0)
        after = min(first + min(request.page_size, 2), 5)
        names = [f"{request.parent}/pipelines/p/runs/r{n}" for n in range(first, after)]
        token = str(after) if after < 5 else ""
        runs = [Run(name=name, state=self.states[-1]) for name in names]
        return runs_pb.ListRunsResponse(runs=runs, next_page_token=token)

    async def WatchRun(
        self, request: runs_pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[runs_pb.WatchRunResponse]:
        await self._seen(request, context)
        first = int(request.cursor or 0)
        for sent, index in enumerate(range(first, len(self.states))):
            if self.cut_after is not None and sent >= self.cut_after:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut off")
            run = self._at(request.name, index)
            yield runs_pb.WatchRunResponse(run=run, cursor=str(index + 1))

    async def ListRunEvents(self, request: Any, context: Context) -> Any:
        await self._seen(request, context)
        summary = "the source answered 401"
        event = RunEvent(position=7, event_type="run.failed", summary=summary)
        return runs_pb.ListRunEventsResponse(events=[event])

    async def CancelRun(self, request: runs_pb.CancelRunRequest, context: Context) -> Any:
        await self._seen(request, context)
        run = Run(name=request.name, state=RunState.RUN_STATE_CANCELLING)
        return runs_pb.CancelRunResponse(run=run)

    def _at(self, name: str, index: int) -> Run:
        run = Run(name=name, attempt=1)
        if index == len(self.states) - 1:
            run.MergeFrom(self.final)
        run.state = self.states[index]
        run.position = index
        return run


class FakePipelines(pipelines_grpc.PipelineServiceServicer):
    """One pipeline, valid unless `errors` are given."""

    def __init__(self, *found: FileError) -> None:
        self.errors = found

    async def ListPipelines(self, request: Any, context: Context) -> Any:
        del context
        one = Pipeline(
            name=f"{request.parent}/pipelines/p_focus_billing",
            source_kind="file",
            target_table="acme_corp_raw_focus.bills",
            write_mode=WriteMode.WRITE_MODE_APPEND,
        )
        return pipelines_pb.ListPipelinesResponse(pipelines=[one])

    async def ValidatePipeline(self, request: Any, context: Context) -> Any:
        del request, context
        return pipelines_pb.ValidatePipelineResponse(errors=self.errors, spec_hash="0" * 64)


class FakeTenants(tenants_grpc.TenantServiceServicer):
    """Tenants in memory."""

    def __init__(self) -> None:
        self.created: dict[str, Tenant] = {}

    async def CreateTenant(self, request: Any, context: Context) -> Any:
        del context
        made = Tenant()
        made.CopyFrom(request.tenant)
        made.name = f"tenants/{request.tenant_id}"
        made.state = TenantState.TENANT_STATE_ACTIVE
        found = self.created.setdefault(request.tenant_id, made)
        return tenants_pb.CreateTenantResponse(tenant=found)


class FakeKeys(keys_grpc.ApiKeyServiceServicer):
    """Keys in memory; `lost_replies` answers are lost after their effect."""

    def __init__(self) -> None:
        self.created: list[ApiKey] = []
        self.lost_replies = 0

    async def CreateApiKey(self, request: Any, context: Context) -> Any:
        key = ApiKey(name=f"{request.parent}/apiKeys/k{len(self.created)}", active=True)
        self.created.append(key)
        if self.lost_replies:
            self.lost_replies -= 1
            await refuse(context, errors.Unavailable("lost"))
        return keys_pb.CreateApiKeyResponse(api_key=key, secret="cvg_acme_corp_shownonce")

    async def ListApiKeys(self, request: Any, context: Context) -> Any:
        del context
        mine = [key for key in self.created if key.name.startswith(request.parent)]
        return keys_pb.ListApiKeysResponse(api_keys=mine[: request.page_size])


@contextlib.asynccontextmanager
async def serving(
    *,
    runs: FakeRuns | None = None,
    pipelines: FakePipelines | None = None,
    tenants: FakeTenants | None = None,
    keys: FakeKeys | None = None,
    handlers: Sequence[grpc.GenericRpcHandler] = (),
) -> AsyncGenerator[str]:
    """Serve the fakes while the block runs; yield their address."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    runs_grpc.add_RunServiceServicer_to_server(runs or FakeRuns(), server)
    pipelines_grpc.add_PipelineServiceServicer_to_server(pipelines or FakePipelines(), server)
    tenants_grpc.add_TenantServiceServicer_to_server(tenants or FakeTenants(), server)
    keys_grpc.add_ApiKeyServiceServicer_to_server(keys or FakeKeys(), server)
    server.add_generic_rpc_handlers(tuple(handlers))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
