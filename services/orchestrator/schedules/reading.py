"""What the tenants' files say of schedules, taken into the journal when it is new."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from libs.common.names import PipelineName
from services.orchestrator.conductor.reading import Reader
from services.orchestrator.configs.catalogue import Catalogue
from services.orchestrator.journal.history import History
from services.orchestrator.schedules.deciding import due
from services.orchestrator.schedules.records import FiresDecided, ScheduleRemoved, ScheduleSet
from services.orchestrator.schedules.schedule import Schedule
from services.orchestrator.specs import PipelineSpec, ScheduleSpec

GONE_FOR: Final = timedelta(seconds=60)
"""How long a schedule must be missing in the files before it is gone."""

RECALLED: Final = 20
"""Newest runs of a pipeline that are looked at for a version of its files."""

GONE: Final = "its pipeline has no schedule any more"
"""Why a fire that waited is refused."""


class Files:
    """The catalogue beside the journal."""

    def __init__(
        self,
        catalogue: Catalogue,
        history: History,
        clock: Callable[[], datetime],
        reader: Reader,
    ) -> None:
        self._catalogue = catalogue
        self._reader = reader
        self._recalled: dict[PipelineName, PipelineSpec | None] = {}
        """What runs were made of that had left the ledger; None where there was none with a schedule."""
        self._history = history
        self._clock = clock
        self.missing: dict[PipelineName, datetime] = {}
        """Since when the files lack a schedule that the journal has."""

    def tenants(self) -> tuple[str, ...]:
        """Return the ids of tenants that have files."""
        return self._catalogue.tenants()

    def pipelines(self, tenant: str) -> list[PipelineName]:
        """Return the pipelines that a tenant has files of, or schedules in the journal."""
        found = {PipelineName(tenant, one) for one in self._catalogue.pipelines(tenant)}
        schedules = self._history.ledger.schedules
        found |= {name for name in schedules.of(tenant) if not schedules.by_pipeline[name].gone}
        return sorted(found)

    def spec(self, name: PipelineName) -> PipelineSpec | None:
        """Return what a run would be made of: the last version without errors that is known."""
        entry = self._catalogue.get(name.tenant, name.pipeline)
        if entry is None:
            return None
        if entry.spec is not None:
            return entry.spec
        runs = [run for run in self._history.ledger.of(name) if run.spec.schedule]
        newest = max(runs, key=self._history.ledger.begun, default=None)
        return newest.spec if newest else self._recalled.get(name)

    async def recall(self, name: PipelineName) -> None:
        """Look for the version that the newest run was made of, where nothing else is known. Raises Unavailable.

        It is looked for once: where there is none, only a file that is mended tells.
        """
        if name in self._recalled or self.spec(name) is not None:
            return
        if self._catalogue.get(name.tenant, name.pipeline) is None:
            return
        recent = await self._reader.begun(name, states=frozenset(), below=0, limit=RECALLED)
        runs = await self._reader.runs([one.name for one in recent])
        specs = (runs[one.name].spec for one in recent if one.name in runs)
        self._recalled[name] = next((spec for spec in specs if spec.schedule), None)

    def adopt(self, name: PipelineName) -> bool:
        """Journal what a pipeline's file says of its schedule; return whether it was new.

        What is due by the line that was read before is decided first: until then it stays. Fires
        that wait are decided, and keep nothing from being read.
        """
        entry = self._catalogue.get(name.tenant, name.pipeline)
        schedule = self._history.ledger.schedules.by_pipeline.get(name)
        said = entry.spec.schedule if entry and entry.spec else None
        if said is None:
            broken = entry is not None and entry.spec is None
            return bool(schedule and not schedule.gone and not broken) and self._miss(name)
        self.missing.pop(name, None)
        if schedule and not schedule.gone and schedule.spec == said:
            return False
        if schedule and due(schedule, self._clock()):
            return False
        detail = ScheduleSet(
            pipeline=str(name), schedule=said, begin_time=self._begin_time(schedule, said)
        )
        self._history.decide(None, detail)
        return True

    def _begin_time(self, schedule: Schedule | None, said: ScheduleSpec) -> datetime | None:
        """Return from when on a line that was just read counts; None if it is the line of before.

        While a schedule is paused it counts from the pause on: what is made up follows the new line.
        """
        now = self._clock()
        if schedule is None or schedule.gone:
            return now
        if (said.cron, said.timezone) == (schedule.spec.cron, schedule.spec.timezone):
            return None
        return schedule.pause.time if schedule.pause else now

    def _miss(self, name: PipelineName) -> bool:
        """Take a schedule away that the files have lacked for long enough: return whether it is."""
        now = self._clock()
        if now - self.missing.setdefault(name, now) < GONE_FOR:
            return False
        del self.missing[name]
        schedule = self._history.ledger.schedules.by_pipeline[name]
        if left := (*schedule.starting, *schedule.waiting):
            refused = tuple(one.refused(GONE) for one in left)
            detail = FiresDecided(pipeline=str(name), until=schedule.cursor, decisions=refused)
            self._history.decide(None, detail)
        self._history.decide(None, ScheduleRemoved(pipeline=str(name)))
        return True
