"""What may follow from schedules and backfills, and what did: by plain code, from the journal alone."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping

from libs.common.names import BackfillName, PipelineName
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.schedules.records import FiresDecided, ScheduleDetail
from services.orchestrator.specs import PipelineSpec
from tests.sim.fillings import Fillings
from tests.sim.fires import Fires, Wrong, days
from tests.sim.runs import Told

__all__ = ["Plans", "Wrong"]


@dataclasses.dataclass(slots=True)
class Plans:
    """All schedules and backfills, and how often what has become of them."""

    schedules: Fires = dataclasses.field(default_factory=Fires)
    backfills: Fillings = dataclasses.field(default_factory=Fillings)
    met: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    """Fates of fires by policy; what happened to backfills, by `backfill`."""

    def follow(self, record: r.Record, runs: Mapping[str, Told]) -> None:
        """Follow a record, with the runs as they were before it. Raises Wrong."""
        detail = record.detail
        if isinstance(detail, r.RunCreated):
            self._create(record, detail, runs)
        elif isinstance(detail, ScheduleDetail):
            live = sorted(name.rpartition("/")[2] for name in _beside(detail.pipeline, runs))
            self.schedules.follow(record, detail, live)
            if isinstance(detail, FiresDecided):
                self._count(detail, runs)
        elif isinstance(detail, r.BackfillDetail):
            self.backfills.follow(detail, _live(runs))
            by = " by itself" if getattr(detail, "by", "") == "platform" else ""
            self.met["backfill", detail.type.rpartition(".")[2] + by] += 1

    def _count(self, detail: FiresDecided, runs: Mapping[str, Told]) -> None:
        policy = self.schedules.lines[detail.pipeline].said.overlap
        for one in detail.decisions:
            self.met[policy, f"{one.verdict} {one.cause}".strip()] += 1
            filling = [x for x in runs.values() if x.live and x.of_backfill]
            if filling and one.verdict == "start":
                self.met["backfill", "fire beside"] += 1

    def _create(self, record: r.Record, detail: r.RunCreated, runs: Mapping[str, Told]) -> None:
        pipeline, _, run = record.run.rpartition("/runs/")
        beside = _beside(pipeline, runs)
        if detail.of_backfill:
            read = {day.date() for name in beside for day in runs[name].days}
            self.backfills.fill(record.run, detail, _live(runs), read)
            self.met["backfill", "filled"] += 1
            return
        spec = PipelineSpec.model_validate_json(detail.spec)
        said = self.schedules.lines[pipeline].said if detail.fire_time else spec.schedule
        same = [name for name in beside if detail.fire_time or runs[name].days == days(detail)]
        if same and not (said and said.overlap == "allow_all"):
            raise Wrong(f"{record.run} is created while {same} are live")
        if detail.fire_time:
            decided = self.schedules.create(pipeline, run, detail, spec)
            if decided != record.epoch:
                self.met["schedule", "run by a successor"] += 1

    def differ(self, leader: Ledger) -> Iterator[tuple[str, str]]:
        """Yield, with the promise, where the leader believes something else than the journal tells."""
        for name, line in self.schedules.lines.items():
            led = leader.schedules.by_pipeline[PipelineName.parse(name)]
            waiting = [one.fire_time for one in led.waiting]
            if (led.cursor, waiting) != (line.cursor, line.waiting) or led.starting:
                yield "fires-once", f"{name} is {line}, and the leader says {led}"
            fates = led.counts
            if fates.started + fates.skipped + fates.missed + len(waiting) != line.decided:
                yield "fires-once", f"{name}: {fates} of {line.decided} fires"
        for name, one in self.backfills.by_name.items():
            state = leader.backfills.by_name[BackfillName.parse(name)].state
            if one.open or state != one.state:
                yield "filled", f"{name} is {one.state}, and the leader says {state}"


def _live(runs: Mapping[str, Told]) -> dict[str, bool]:
    return {name: run.live for name, run in runs.items()}


def _beside(pipeline: str, runs: Mapping[str, Told]) -> list[str]:
    """Return the live runs of a pipeline that no backfill has made."""
    return [
        name
        for name, run in runs.items()
        if run.live and not run.of_backfill and name.rpartition("/runs/")[0] == pipeline
    ]
