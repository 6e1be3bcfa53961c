"""Everything that a run would need, checked without running anything."""

from collections.abc import Awaitable, Callable

from libs.common.errors import ServiceError, Unavailable
from libs.common.names import PipelineName
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.conductor.planning import ask_worker
from services.orchestrator.configs.catalogue import Entry
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.pipelines import pipeline_file
from services.orchestrator.runs.windows import window_of
from services.orchestrator.specs import PipelineSpec


async def validate(mesh: Mesh, name: PipelineName, entry: Entry) -> list[FileError]:
    """Return what is wrong with a pipeline: files, suite, datasets, secret and source.

    Raises:
        Unavailable: a neighbour that must be asked is away; nothing is known.
    """
    if entry.errors or entry.spec is None:
        return list(entry.errors)
    spec = entry.spec
    found = await _ask(_suite_file(spec), lambda: _compile(mesh, name, spec))
    found += await _ask(pipeline_file(spec), lambda: mesh.warehouse.check(spec))
    found += await _ask(_source_file(spec), lambda: _plan(mesh, name, spec))
    return found


async def _compile(mesh: Mesh, name: PipelineName, spec: PipelineSpec) -> None:
    if spec.quality.suite_document:
        await mesh.judge.compile(name, spec)


async def _plan(mesh: Mesh, name: PipelineName, spec: PipelineSpec) -> None:
    await ask_worker(mesh, name, spec, window_of(spec, None, now=mesh.clock()))


async def _ask(file: str, check: Callable[[], Awaitable[None]]) -> list[FileError]:
    try:
        await check()
    except Unavailable:
        raise
    except ServiceError as error:
        return _errors(file, error)
    return []


def _errors(file: str, error: ServiceError) -> list[FileError]:
    """Return what a neighbour refused; its sentences say what is allowed, its reason is looked up."""
    violations = getattr(error, "violations", {}) or {"": str(error)}
    advice = f"docs/errors.md says more under {error.reason}"
    return [
        FileError(file=file, field=field, found=why, allowed="", advice=advice)
        for field, why in violations.items()
    ]


def _suite_file(spec: PipelineSpec) -> str:
    return f"{spec.tenant}/suites/{spec.quality.suite_id}.json"


def _source_file(spec: PipelineSpec) -> str:
    return f"{spec.tenant}/sources/{spec.source.source_id}.yml"
