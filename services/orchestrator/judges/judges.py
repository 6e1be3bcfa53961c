"""Who compiles suites and judges rows: the port."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from libs.common.names import PipelineName, RunName
from services.orchestrator.runs.records import Metric, Result
from services.orchestrator.specs import PipelineSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A suite as workers need it."""

    document: str
    """`CompiledSuite` as protobuf JSON."""
    row_rule_count: int
    table_rule_count: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a suite says about a run's rows."""

    success: bool
    results: tuple[Result, ...]


class Judge(Protocol):
    """Compiles and judges."""

    async def compile(self, parent: PipelineName | RunName, spec: PipelineSpec) -> Compiled:
        """Compile the pipeline's suite. Raises InvalidRequest / SUITE_INVALID naming each expectation."""

    async def judge(
        self,
        run: RunName,
        spec: PipelineSpec,
        *,
        attempt: int,
        metrics: Sequence[Metric],
        table: str,
    ) -> Verdict:
        """Evaluate table rules over `table` (empty if there are none) and judge them with the metrics."""
