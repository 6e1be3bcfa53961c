"""Carries out what was decided about fires: creates their runs, cancels what is in their way."""

from datetime import timedelta

from libs.common.errors import ServiceError
from libs.common.names import PipelineName
from services.orchestrator.conductor.commands import Commands, Fire
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.runs.records import Share
from services.orchestrator.runs.states import CANCELLABLE, LIVE
from services.orchestrator.schedules.records import Decision, FiresDecided
from services.orchestrator.schedules.schedule import Schedule
from services.orchestrator.specs import PipelineSpec


class Starter:
    """Does what a schedule has decided. Everything may be repeated; nothing waits."""

    def __init__(self, conductor: Conductor, commands: Commands) -> None:
        self._conductor = conductor
        self._commands = commands
        self._history = conductor.mesh.history

    def carry_out(
        self,
        name: PipelineName,
        schedule: Schedule,
        spec: PipelineSpec | None,
        share: Share | None = None,
    ) -> None:
        """Create the runs of decided starts; cancel the runs that waiting fires are to replace.

        `spec`: What runs are made of; None where nobody knows, and nothing is started.
        """
        if spec is not None:
            for start in schedule.starting:
                self._start(name, schedule, start, spec, share)
        for one in schedule.waiting:
            for run in one.cancels:
                self._cancel(name, run, one)

    def _start(
        self,
        name: PipelineName,
        schedule: Schedule,
        start: Decision,
        spec: PipelineSpec,
        share: Share | None,
    ) -> None:
        fire = Fire(
            pipeline=name,
            run=start.run,
            fire_time=start.fire_time,
            after=schedule.spec.after,
            patience=timedelta(seconds=schedule.spec.after_timeout_seconds),
            share=share,
        )
        try:
            self._commands.fire(fire, spec)
        except ServiceError as error:
            refused = start.refused(str(error))
            detail = FiresDecided(pipeline=str(name), until=start.fire_time, decisions=(refused,))
            self._history.decide(None, detail)

    def _cancel(self, name: PipelineName, run_id: str, waiting: Decision) -> None:
        run = self._history.ledger.runs.get(name.run(run_id))
        if run is None or run.state not in LIVE & CANCELLABLE:
            return
        reason = f"overlap: cancel_other, for the fire of {waiting.fire_time:%Y-%m-%d %H:%M} UTC"
        self._conductor.soon(self._commands.cancel(run.name, by="schedule", reason=reason))
