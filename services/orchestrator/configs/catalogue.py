"""Port: which pipelines a tenant has, and what each is made of."""

import dataclasses
from datetime import datetime
from typing import Protocol

from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.specs import PipelineSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A pipeline as it stands.

    `spec` is the last version without errors, None if there never was one. `errors` are those of
    the files as they are now. `load_time` is when the files of `spec` were read (of the errors, if
    there is no spec).
    """

    spec: PipelineSpec | None
    errors: tuple[FileError, ...] = ()
    load_time: datetime


class Catalogue(Protocol):
    """Tenants' pipelines. Ids are plain ids, not resource names."""

    def tenants(self) -> tuple[str, ...]:
        """Return the ids of tenants that have files, sorted."""
        ...

    def pipelines(self, tenant: str) -> tuple[str, ...]:
        """Return the ids of a tenant's pipelines, sorted, broken ones too; none if unknown."""
        ...

    def get(self, tenant: str, pipeline: str) -> Entry | None:
        """Return a pipeline as it stands now; None if the tenant has no such file."""
        ...


class MemoryCatalogue:
    """Pipelines that were put in."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    def put(self, spec: PipelineSpec, *, at: datetime) -> None:
        """Add or replace a pipeline by a version without errors."""
        self._entries[spec.tenant, spec.pipeline] = Entry(spec=spec, load_time=at)

    def put_broken(self, tenant: str, pipeline: str, *errors: FileError, at: datetime) -> None:
        """Add a pipeline with errors; the last good version stays."""
        before = self._entries.get((tenant, pipeline))
        self._entries[tenant, pipeline] = Entry(
            spec=before.spec if before else None,
            errors=errors,
            load_time=before.load_time if before else at,
        )

    def remove(self, tenant: str, pipeline: str) -> None:
        """Take a pipeline out."""
        self._entries.pop((tenant, pipeline), None)

    def tenants(self) -> tuple[str, ...]:
        return tuple(sorted({tenant for tenant, _ in self._entries}))

    def pipelines(self, tenant: str) -> tuple[str, ...]:
        return tuple(sorted(pipeline for of, pipeline in self._entries if of == tenant))

    def get(self, tenant: str, pipeline: str) -> Entry | None:
        return self._entries.get((tenant, pipeline))
