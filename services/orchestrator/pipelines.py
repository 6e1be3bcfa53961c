"""Pipelines of a tenant as callers see them: found, resolved, checked."""

from libs.common.errors import NotFound
from libs.common.names import PipelineName
from services.orchestrator.configs.catalogue import Catalogue, Entry
from services.orchestrator.configs.file_errors import ConfigInvalid
from services.orchestrator.specs import PipelineSpec


class PipelineNotFound(NotFound):
    """No such pipeline among the tenant's files, or one of another tenant."""

    reason = "PIPELINE_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no pipeline {name}; a pipeline is a file pipelines/{{pipeline}}.yml of its tenant",
            name=name,
        )


def pipeline_entry(catalogue: Catalogue, name: PipelineName) -> Entry:
    """Return a pipeline as its files stand. Raises PipelineNotFound."""
    entry = catalogue.get(name.tenant, name.pipeline)
    if entry is None:
        raise PipelineNotFound(str(name))
    return entry


def pipeline_spec(catalogue: Catalogue, name: PipelineName) -> PipelineSpec:
    """Return what a new run would use: the last version without errors.

    Raises:
        PipelineNotFound: no such file.
        ConfigInvalid: there never was a version without errors.
    """
    entry = pipeline_entry(catalogue, name)
    if entry.spec is None:
        raise ConfigInvalid(str(name), entry.errors)
    return entry.spec


def pipeline_file(spec: PipelineSpec) -> str:
    """Return the file that a spec comes from, below the configs directory."""
    return f"{spec.tenant}/pipelines/{spec.pipeline}.yml"
