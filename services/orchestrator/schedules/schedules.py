"""All schedules as the journal tells them: a fold over its records, no I/O."""

import dataclasses
from collections.abc import Iterable, Iterator

from libs.common.names import PipelineName, RunName
from services.orchestrator.runs.records import Record, RunCreated
from services.orchestrator.schedules.records import ScheduleDetail, ScheduleSet
from services.orchestrator.schedules.schedule import Schedule, after, begin, created


@dataclasses.dataclass(slots=True)
class Schedules:
    """Schedules by pipeline, those that are gone included."""

    by_pipeline: dict[PipelineName, Schedule] = dataclasses.field(default_factory=dict)
    _names: dict[str, dict[PipelineName, None]] = dataclasses.field(default_factory=dict)
    """Pipelines of them by tenant."""

    def of(self, tenant: str) -> Iterable[PipelineName]:
        """Return a tenant's pipelines that have or had a schedule."""
        return self._names.get(tenant, ())

    def add(self, record: Record) -> None:
        """Apply a record; those that are about no schedule change nothing."""
        detail, found = record.detail, self.by_pipeline
        if isinstance(detail, RunCreated) and detail.fire_time:
            run = RunName.parse(record.run)
            if schedule := found.get(run.parent):
                found[run.parent] = created(schedule, run.run)
        elif isinstance(detail, ScheduleDetail):
            name = PipelineName.parse(detail.pipeline)
            time, position = record.time, record.position
            if isinstance(detail, ScheduleSet):
                found[name] = begin(found.get(name), time, position, detail)
                self._names.setdefault(name.tenant, {})[name] = None
            else:
                found[name] = after(found[name], time, position, detail)

    def snapshot(self) -> Iterator[str]:
        """Yield the state as JSON texts, one a schedule."""
        for name in sorted(self.by_pipeline):
            yield self.by_pipeline[name].model_dump_json()

    def restore(self, items: Iterable[str]) -> None:
        """Be what `snapshot` said."""
        schedules = [Schedule.model_validate_json(one) for one in items]
        self.by_pipeline = {PipelineName.parse(one.pipeline): one for one in schedules}
        self._names = {}
        for name in self.by_pipeline:
            self._names.setdefault(name.tenant, {})[name] = None
