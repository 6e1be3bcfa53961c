"""PipelineService: what a tenant's files say, and whether a run could start."""

from convergence.orchestrator.v1 import (
    pipeline_pb2,
    pipeline_service_pb2,
    pipeline_service_pb2_grpc,
    run_pb2,
)

from libs.common.names import PipelineName, TenantName
from libs.common.paging import Page
from libs.common.parse import Reading, moment
from libs.common.rpc import Context
from services.orchestrator.active import Seat
from services.orchestrator.api.run_messages import scope_message, stamp
from services.orchestrator.configs.catalogue import Catalogue, Entry
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.pipelines import pipeline_entry, pipeline_spec
from services.orchestrator.preview import Preview
from services.orchestrator.specs import FileOptions
from services.orchestrator.validation import validate


class PipelineServicer(pipeline_service_pb2_grpc.PipelineServiceServicer):
    """Translates; changes nothing."""

    def __init__(self, seat: Seat, catalogue: Catalogue) -> None:
        self._seat = seat
        self._catalogue = catalogue

    async def GetPipeline(
        self, request: pipeline_service_pb2.GetPipelineRequest, context: Context
    ) -> pipeline_service_pb2.GetPipelineResponse:
        name = _name("name", request.name)
        entry = pipeline_entry(self._catalogue, name)
        return pipeline_service_pb2.GetPipelineResponse(pipeline=_pipeline(name, entry))

    async def ListPipelines(
        self, request: pipeline_service_pb2.ListPipelinesRequest, context: Context
    ) -> pipeline_service_pb2.ListPipelinesResponse:
        with Reading() as read:
            parent = read("parent", TenantName.parse, request.parent)
        query = f"pipelines:{request.parent}"
        page = Page(asked=request.page_size, token=request.page_token, query=query)
        some, token = page.of(self._catalogue.pipelines(parent.tenant))
        names = [PipelineName(parent.tenant, pipeline) for pipeline in some]
        return pipeline_service_pb2.ListPipelinesResponse(
            pipelines=[_pipeline(name, pipeline_entry(self._catalogue, name)) for name in names],
            next_page_token=token,
        )

    async def ValidatePipeline(
        self, request: pipeline_service_pb2.ValidatePipelineRequest, context: Context
    ) -> pipeline_service_pb2.ValidatePipelineResponse:
        name = _name("name", request.name)
        entry = pipeline_entry(self._catalogue, name)
        errors = await validate((await self._seat.soon()).mesh, name, entry)
        spec_hash = entry.spec.spec_hash if entry.spec and not entry.errors else ""
        return pipeline_service_pb2.ValidatePipelineResponse(
            errors=[_error(error) for error in errors],
            spec_hash=spec_hash,
        )

    async def PlanRun(
        self, request: pipeline_service_pb2.PlanRunRequest, context: Context
    ) -> pipeline_service_pb2.PlanRunResponse:
        with Reading() as read:
            name = read("parent", PipelineName.parse, request.parent)
            given = request.HasField("window_time")
            when = read("window_time", moment, request.window_time) if given else None
        spec = pipeline_spec(self._catalogue, name)
        active = await self._seat.soon()
        preview = Preview.of(active.mesh, name, spec, when)
        return _plan(await active.conductor.knowing(preview))


def _name(field: str, text: str) -> PipelineName:
    with Reading() as read:
        return read(field, PipelineName.parse, text)


def _pipeline(name: PipelineName, entry: Entry) -> pipeline_pb2.Pipeline:
    message = pipeline_pb2.Pipeline(
        name=str(name),
        errors=[_error(error) for error in entry.errors],
        load_time=stamp(entry.load_time),
    )
    if spec := entry.spec:
        message.source = spec.source.source_id
        message.source_kind = "file" if isinstance(spec.source.options, FileOptions) else "openai"
        message.target_table = spec.target.table_id(name.tenant)
        message.MergeFrom(pipeline_pb2.Pipeline(write_mode=f"WRITE_MODE_{spec.write.mode.upper()}"))
        message.scope_columns.extend(spec.scope_columns)
        message.suite = spec.quality.suite_id or ""
        message.transforms.extend(t.transform_id for t in spec.transforms)
        message.spec_hash = spec.spec_hash
        message.window_grain = spec.window.grain if spec.window else ""
    return message


def _error(error: FileError) -> pipeline_pb2.FileError:
    return pipeline_pb2.FileError(
        file=error.file,
        line=error.line,
        field=error.field,
        found=error.found,
        allowed=error.allowed,
        advice=error.advice,
    )


def _plan(preview: Preview) -> pipeline_service_pb2.PlanRunResponse:
    window = preview.window
    return pipeline_service_pb2.PlanRunResponse(
        window=run_pb2.Window(
            start_time=stamp(window.start) if window else None,
            end_time=stamp(window.end) if window else None,
            deliveries=preview.inputs if window is None else (),
        ),
        scope=scope_message(preview.scope),
        chunk_count=preview.chunk_count,
        estimated_bytes=preview.estimated_bytes,
        inputs=preview.inputs,
        known_inputs=preview.known_inputs,
        target_table=preview.target_table,
        extra_columns=preview.extra_columns,
    )
