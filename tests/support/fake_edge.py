"""An edge in this process whose answers a test chooses."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
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
from convergence.orchestrator.v1 import schedule_service_pb2_grpc as schedules_grpc
from convergence.orchestrator.v1.explanation_pb2 import Explanation
from convergence.orchestrator.v1.pipeline_pb2 import FileError, Pipeline, WriteMode
from convergence.orchestrator.v1.run_pb2 import (
    QuarantinedRow,
    Run,
    RunEvent,
    RunResult,
    RunState,
    ScopeValues,
)

from libs.common import errors
from libs.common.rpc import to_status

Context = grpc.aio.ServicerContext[Any, Any]
SECRET = "cvg_acme_corp_shownonce"
SERVER_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1))


async def refuse(context: Context, error: errors.ServiceError) -> None:
    """End the call as a service does that raised `error`."""
    code, status = to_status(error)
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, status.message, trailing)


class FakeRuns(runs_grpc.RunServiceServicer):
    """Runs that go through the states it was given, one a watch message.

    Dials: `failures` are raised by the next calls of any method, one each; `refusal` by every call;
    `cut_after` ends a watch after so many messages; `results` and `quarantined` are what the
    lists hold, `queue` what GetQueue answers, `explanation` what ExplainRun does; `final` is what the run has in its last state.
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
        self.listed: list[Run] = []
        self.events = [
            RunEvent(position=7, event_type="run.failed", summary="the source answered 401")
        ]
        self.explanation = Explanation()
        self.results: list[RunResult] = []
        self.quarantined: list[QuarantinedRow] = []
        self.queue = runs_pb.GetQueueResponse()

    async def _seen(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        if self.failures:
            await refuse(context, self.failures.pop(0))
        if self.refusal:
            await refuse(context, self.refusal)

    async def CreateRun(self, request: runs_pb.CreateRunRequest, context: Context) -> Any:
        await self._seen(request, context)
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
        if self.listed:
            return runs_pb.ListRunsResponse(runs=self.listed)
        first = int(request.page_token or 0)
        after = min(first + min(request.page_size, 2), 5)
        parent = f"{request.parent.partition('/pipelines/')[0]}/pipelines/p"
        names = [f"{parent}/runs/r{n}" for n in range(first, after)]
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

    async def WatchRuns(
        self, request: runs_pb.WatchRunsRequest, context: Context
    ) -> AsyncIterator[runs_pb.WatchRunsResponse]:
        await self._seen(request, context)
        for index in range(int(request.cursor or 0), len(self.states)):
            yield runs_pb.WatchRunsResponse(cursor=str(index))
            run = self._at(f"{request.parent}/pipelines/p/runs/r1", index)
            yield runs_pb.WatchRunsResponse(run=run, cursor=str(index + 1))

    async def ExplainRun(self, request: runs_pb.ExplainRunRequest, context: Context) -> Any:
        await self._seen(request, context)
        return runs_pb.ExplainRunResponse(explanation=self.explanation)

    async def ListRunEvents(self, request: runs_pb.ListRunEventsRequest, context: Context) -> Any:
        await self._seen(request, context)
        return runs_pb.ListRunEventsResponse(events=self.events)

    async def ListRunResults(self, request: runs_pb.ListRunResultsRequest, context: Context) -> Any:
        await self._seen(request, context)
        return runs_pb.ListRunResultsResponse(results=self.results)

    async def ListQuarantinedRows(
        self, request: runs_pb.ListQuarantinedRowsRequest, context: Context
    ) -> Any:
        await self._seen(request, context)
        rows = self.quarantined[: request.page_size]
        return runs_pb.ListQuarantinedRowsResponse(rows=rows)

    async def GetQueue(self, request: runs_pb.GetQueueRequest, context: Context) -> Any:
        await self._seen(request, context)
        return self.queue

    async def CancelRun(self, request: runs_pb.CancelRunRequest, context: Context) -> Any:
        await self._seen(request, context)
        run = Run(name=request.name, state=RunState.RUN_STATE_CANCELLING)
        return runs_pb.CancelRunResponse(run=run)

    async def RetryRun(self, request: runs_pb.RetryRunRequest, context: Context) -> Any:
        await self._seen(request, context)
        run = Run(name=request.name, state=RunState.RUN_STATE_PLANNING, attempt=2)
        return runs_pb.RetryRunResponse(run=run)

    async def ApproveRun(self, request: runs_pb.ApproveRunRequest, context: Context) -> Any:
        await self._seen(request, context)
        run = Run(name=request.name, state=RunState.RUN_STATE_PUBLISHING)
        return runs_pb.ApproveRunResponse(run=run)

    async def DiscardRun(self, request: runs_pb.DiscardRunRequest, context: Context) -> Any:
        await self._seen(request, context)
        run = Run(
            name=request.name, state=RunState.RUN_STATE_CANCELLED, cancel_reason=request.reason
        )
        return runs_pb.DiscardRunResponse(run=run)

    def _at(self, name: str, index: int) -> Run:
        run = Run(name=name, attempt=1)
        if index == len(self.states) - 1:
            run.MergeFrom(self.final)
        run.state = self.states[index]
        run.position = index
        return run


class FakePipelines(pipelines_grpc.PipelineServiceServicer):
    """One pipeline, valid unless `errors` are given."""

    def __init__(self, *found: FileError, warnings: Sequence[FileError] = ()) -> None:
        self.errors = found
        self.warnings = warnings

    async def GetPipeline(self, request: pipelines_pb.GetPipelineRequest, context: Context) -> Any:
        if not request.name.endswith("/p_focus_billing"):
            text = f"there is no {request.name}"
            missing = errors.NotFound(text, reason="PIPELINE_NOT_FOUND", name=request.name)
            await refuse(context, missing)
        return pipelines_pb.GetPipelineResponse(pipeline=self._one(request.name))

    async def ListPipelines(
        self, request: pipelines_pb.ListPipelinesRequest, context: Context
    ) -> Any:
        del context
        one = self._one(f"{request.parent}/pipelines/p_focus_billing")
        return pipelines_pb.ListPipelinesResponse(pipelines=[one])

    async def ValidatePipeline(
        self, request: pipelines_pb.ValidatePipelineRequest, context: Context
    ) -> Any:
        del request, context
        return pipelines_pb.ValidatePipelineResponse(
            errors=self.errors, spec_hash="0" * 64, warnings=self.warnings
        )

    async def PlanRun(self, request: pipelines_pb.PlanRunRequest, context: Context) -> Any:
        del request, context
        return pipelines_pb.PlanRunResponse(
            scope=[ScopeValues(column="_source", values=["bills/focus_sample.csv"])],
            chunk_count=1,
            estimated_bytes=2_531_007,
            inputs=["bills/focus_sample.csv"],
            target_table="acme_corp_raw_focus.bills",
            extra_columns=["x_unknown"],
        )

    def _one(self, name: str) -> Pipeline:
        return Pipeline(
            name=name,
            source="focus_files",
            source_kind="file",
            target_table="acme_corp_raw_focus.bills",
            write_mode=WriteMode.WRITE_MODE_APPEND,
            errors=self.errors,
        )


class FakeTenants(tenants_grpc.TenantServiceServicer):
    """Tenants in memory."""

    def __init__(self) -> None:
        self.created: dict[str, Tenant] = {}
        self.masks: list[list[str]] = []

    async def CreateTenant(self, request: tenants_pb.CreateTenantRequest, context: Context) -> Any:
        made = Tenant()
        made.CopyFrom(request.tenant)
        made.name = f"tenants/{request.tenant_id}"
        made.state = TenantState.TENANT_STATE_ACTIVE
        found = self.created.setdefault(request.tenant_id, made)
        if found.display_name != made.display_name:
            text = f"{made.name} exists with another display_name"
            await refuse(context, errors.AlreadyExists(text, reason="TENANT_EXISTS"))
        return tenants_pb.CreateTenantResponse(tenant=found)

    async def GetTenant(self, request: tenants_pb.GetTenantRequest, context: Context) -> Any:
        tenant = await self._found(request.name, context)
        return tenants_pb.GetTenantResponse(tenant=tenant)

    async def ListTenants(self, request: tenants_pb.ListTenantsRequest, context: Context) -> Any:
        del context
        gone = TenantState.TENANT_STATE_DELETED
        found = [
            tenant
            for _, tenant in sorted(self.created.items())
            if request.show_deleted or tenant.state != gone
        ]
        return tenants_pb.ListTenantsResponse(tenants=found)

    async def UpdateTenant(self, request: tenants_pb.UpdateTenantRequest, context: Context) -> Any:
        tenant = await self._found(request.tenant.name, context)
        self.masks.append(list(request.update_mask.paths))
        request.update_mask.MergeMessage(request.tenant, tenant, True, True)
        return tenants_pb.UpdateTenantResponse(tenant=tenant)

    async def DeleteTenant(self, request: tenants_pb.DeleteTenantRequest, context: Context) -> Any:
        tenant = await self._found(request.name, context)
        tenant.state = TenantState.TENANT_STATE_DELETED
        return tenants_pb.DeleteTenantResponse(tenant=tenant)

    async def _found(self, name: str, context: Context) -> Tenant:
        tenant = self.created.get(name.removeprefix("tenants/"))
        if tenant is None:
            text = f"there is no {name}"
            await refuse(context, errors.NotFound(text, reason="TENANT_NOT_FOUND", name=name))
            raise AssertionError
        return tenant


class FakeKeys(keys_grpc.ApiKeyServiceServicer):
    """Keys in memory; `lost_replies` answers are lost after their effect."""

    def __init__(self) -> None:
        self.created: list[ApiKey] = []
        self.requests: list[Any] = []
        self.lost_replies = 0

    async def CreateApiKey(self, request: keys_pb.CreateApiKeyRequest, context: Context) -> Any:
        key = self._made(request.parent, request.api_key)
        await self._reply(request, context)
        return keys_pb.CreateApiKeyResponse(api_key=key, secret=SECRET)

    async def ListApiKeys(self, request: keys_pb.ListApiKeysRequest, context: Context) -> Any:
        await self._reply(request, context)
        mine = [key for key in self.created if key.name.startswith(request.parent)]
        return keys_pb.ListApiKeysResponse(api_keys=mine[: request.page_size])

    async def RotateApiKey(self, request: keys_pb.RotateApiKeyRequest, context: Context) -> Any:
        old = await self._found(request.name, context)
        key = self._made(request.name.partition("/apiKeys/")[0], old)
        old.superseded_by = key.name
        old.expire_time.FromJsonString("2026-11-25T00:00:00Z")
        await self._reply(request, context)
        return keys_pb.RotateApiKeyResponse(api_key=key, secret=SECRET, superseded=old)

    async def RevokeApiKey(self, request: keys_pb.RevokeApiKeyRequest, context: Context) -> Any:
        key = await self._found(request.name, context)
        key.active = False
        await self._reply(request, context)
        return keys_pb.RevokeApiKeyResponse(api_key=key)

    def _made(self, parent: str, like: ApiKey) -> ApiKey:
        key = ApiKey(
            name=f"{parent}/apiKeys/k{len(self.created)}",
            description=like.description,
            scopes=like.scopes,
            active=True,
        )
        self.created.append(key)
        return key

    async def _found(self, name: str, context: Context) -> ApiKey:
        for key in self.created:
            if key.name == name:
                return key
        text = f"there is no {name}"
        await refuse(context, errors.NotFound(text, reason="API_KEY_NOT_FOUND", name=name))
        raise AssertionError

    async def _reply(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        if self.lost_replies:
            self.lost_replies -= 1
            await refuse(context, errors.Unavailable("lost"))


@contextlib.asynccontextmanager
async def serving(
    *,
    runs: FakeRuns | None = None,
    pipelines: FakePipelines | None = None,
    tenants: FakeTenants | None = None,
    keys: FakeKeys | None = None,
    schedules: schedules_grpc.ScheduleServiceServicer | None = None,
    handlers: Sequence[grpc.GenericRpcHandler] = (),
    also: Iterable[Callable[[grpc.aio.Server], None]] = (),
) -> AsyncGenerator[str]:
    """Serve the fakes while the block runs; `also` adds others. Yield their address."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    runs_grpc.add_RunServiceServicer_to_server(runs or FakeRuns(), server)
    pipelines_grpc.add_PipelineServiceServicer_to_server(pipelines or FakePipelines(), server)
    tenants_grpc.add_TenantServiceServicer_to_server(tenants or FakeTenants(), server)
    keys_grpc.add_ApiKeyServiceServicer_to_server(keys or FakeKeys(), server)
    if schedules is not None:
        schedules_grpc.add_ScheduleServiceServicer_to_server(schedules, server)
    server.add_generic_rpc_handlers(tuple(handlers))
    for add in also:
        add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
