"""What a run would read and write; changes nothing."""

import dataclasses
from datetime import datetime
from typing import Self

from libs.common.names import PipelineName
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.conductor.planning import ask_worker, scope_of_plan, sort_inputs
from services.orchestrator.runs.records import Scope
from services.orchestrator.runs.windows import Window, scope_of, window_of
from services.orchestrator.specs import PipelineSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan that nobody journals."""

    window: Window | None
    scope: Scope
    chunk_count: int
    estimated_bytes: int
    inputs: tuple[str, ...]
    known_inputs: tuple[str, ...]
    target_table: str
    extra_columns: tuple[str, ...]

    @classmethod
    async def of(
        cls, mesh: Mesh, name: PipelineName, spec: PipelineSpec, moment: datetime | None
    ) -> Self:
        """Plan as a run would that is created now. Raises as planning does."""
        window = window_of(spec, moment, now=mesh.clock())
        planned = await ask_worker(mesh, name, spec, window)
        await mesh.recall((name, spec.target.table_id(name.tenant)))
        known, _ = sort_inputs(mesh.history.ledger, name, spec, planned, reload=False)
        chunks = [chunk for chunk in planned.chunks if chunk.input_id not in known]
        inputs = tuple(dict.fromkeys(chunk.input_id for chunk in chunks))
        return cls(
            window=window,
            scope=scope_of(spec, window)
            or scope_of_plan(mesh.history.ledger, name, spec, inputs, planned),
            chunk_count=len(chunks),
            estimated_bytes=sum(chunk.estimated_bytes for chunk in chunks),
            inputs=inputs,
            known_inputs=tuple(known),
            target_table=spec.target.table_id(name.tenant),
            extra_columns=planned.extra_columns,
        )
