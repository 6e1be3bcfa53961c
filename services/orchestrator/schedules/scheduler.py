"""Looks at schedules when something is due or has changed, and journals what is decided."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from libs.common.errors import NotFound, ServiceError
from libs.common.names import PipelineName
from services.orchestrator.conductor.commands import Commands
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.configs.catalogue import Catalogue
from services.orchestrator.journal.history import Watch
from services.orchestrator.runs.windows import window_of
from services.orchestrator.schedules.deciding import Around, decide, due, due_time, ready
from services.orchestrator.schedules.fires import next_fires
from services.orchestrator.schedules.reading import Files
from services.orchestrator.schedules.records import FiresDecided, SchedulePaused, ScheduleResumed
from services.orchestrator.schedules.schedule import Schedule
from services.orchestrator.schedules.starting import Starter
from services.orchestrator.schedules.tenants import Standing, Tenants
from services.orchestrator.specs import PipelineSpec

log = structlog.get_logger()

LOOK_SECONDS: Final = 5.0
"""Longest rest between two looks at the clock, which may have jumped."""

READ_SECONDS: Final = 60.0
"""Pause between two readings of all tenants' files."""

ASK_AGAIN: Final = timedelta(seconds=5)
"""How long auth's answer about a tenant is believed, and when it is asked again that gave none."""

REFUSED_FOR: Final = timedelta(seconds=30)
"""When auth is asked again about a tenant that may start nothing."""

FAR: Final = datetime.max.replace(tzinfo=UTC)

AT_ONCE: Final = 8
"""Tenants that are looked at at once: what waited for one append of the journal goes on at once, and a call
that comes then waits for all of it."""


class ScheduleNotFound(NotFound):
    """No such pipeline, or one without a schedule, or one of another tenant."""

    reason = "SCHEDULE_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no schedule {name}; a pipeline has one if its file has `schedule`", name=name
        )


class Scheduler:
    """All schedules of an active orchestrator.

    Args:
        conductor: Drives the runs.
        commands: Creates and cancels them.
        catalogue: Says what the tenants' files say.
        tenants: Says who may start anything.
        sleep: Passes time between looks.
        observe_lag: Is told by how many seconds a fire was started after its due time.
    """

    def __init__(
        self,
        conductor: Conductor,
        commands: Commands,
        catalogue: Catalogue,
        tenants: Tenants,
        *,
        sleep: Callable[[float], Awaitable[None]],
        observe_lag: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._commands = commands
        self._tenants = tenants
        self._sleep = sleep
        self._observe_lag = observe_lag
        self._history = conductor.mesh.history
        self._clock = conductor.mesh.clock
        self._files = Files(catalogue, self._history, self._clock, commands.reader)
        self._starter = Starter(conductor, commands)
        self._next: dict[PipelineName, datetime] = {}
        """When to look at a schedule again, if nothing changes before."""
        self._turn = asyncio.Lock()
        """Of who looks and decides: a thousand schedules that are due at once hold up nobody else."""
        self._told = asyncio.Event()
        """Set when a schedule was changed by somebody else than a look."""
        self._standings: dict[str, tuple[datetime, Standing]] = {}
        """What auth said last about a tenant, and when."""
        self.hindrances: dict[PipelineName, str] = {}
        """Why what is due is not decided, by schedule."""

    @property
    def _all(self) -> dict[PipelineName, Schedule]:
        return self._history.ledger.schedules.by_pipeline

    def recover(self) -> None:
        """Create the runs that were decided and not created; call it before anybody else decides."""
        for name, schedule in list(self._all.items()):
            spec = self._files.spec(name) if schedule.starting else None
            self._starter.carry_out(name, schedule, spec)
            self._next[name] = self._clock()

    async def follow(self) -> None:
        """Look, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._fire())

    async def _read(self) -> None:
        """Take what the files say, tenant by tenant, again and again."""
        while True:
            for tenant in {*self._files.tenants(), *(name.tenant for name in self._all)}:
                for name in self._files.pipelines(tenant):
                    self.adopt(name)
                await asyncio.sleep(0)
            await self._sleep(READ_SECONDS)

    async def _fire(self) -> None:
        async with self._history.watching() as watch:
            changed: set[str] = set()
            while True:
                await self.look(changed)
                await self._rest(watch)
                changed = {name.tenant for name in watch.take()}

    async def _rest(self, watch: Watch) -> None:
        """Return when something is due, or has changed that a schedule may wait for."""
        waits_for_runs = any(schedule.waiting for schedule in self._all.values())
        changed = watch.changed if waits_for_runs else self._told
        seconds = READ_SECONDS
        if self._next:
            left = (min(self._next.values()) - self._clock()).total_seconds()
            seconds = min(max(left, 0.0), LOOK_SECONDS)
        waits = [
            asyncio.create_task(changed.wait()),
            asyncio.ensure_future(self._sleep(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._told.clear()

    async def look(self, changed: Iterable[str] = ()) -> None:
        """Decide what is due now, and what waits for runs of the tenants `changed`."""
        now, tenants = self._clock(), set(changed)
        found: defaultdict[str, list[PipelineName]] = defaultdict(list)
        for name, schedule in self._all.items():
            waits = schedule.waiting and name.tenant in tenants
            if waits or self._next.get(name, FAR) <= now:
                found[name.tenant].append(name)
        if not found:
            return
        limit = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for tenant, names in found.items():
                group.create_task(self._tenant(tenant, names, limit))

    async def _tenant(
        self, tenant: str, names: list[PipelineName], limit: asyncio.Semaphore
    ) -> None:
        """Decide about schedules of one tenant; auth is asked only where there is something."""
        async with limit:
            await self._recall(names)
            async with self._next_turn():
                something = [name for name in names if self._something(name)]
            if not something:
                return
            try:
                standing = await self._standing(tenant)
            except ServiceError as error:
                log.warning("schedules.delayed", tenant_id=tenant, cause=str(error))
                self._hinder(something, f"auth cannot be asked: {error}", ASK_AGAIN)
                return
            if standing.refusal:
                self._hinder(something, standing.refusal, REFUSED_FOR)
                return
            for name in something:
                await self._decide(name, standing)

    async def _recall(self, names: Iterable[PipelineName]) -> None:
        for name in names:
            try:
                await self._files.recall(name)
            except ServiceError as error:
                log.warning("schedules.delayed", tenant_id=name.tenant, cause=str(error))

    async def _standing(self, tenant: str) -> Standing:
        now = self._clock()
        known = self._standings.get(tenant)
        if known is None or not timedelta() <= now - known[0] < ASK_AGAIN:
            known = now, await self._tenants.standing(tenant)
            self._standings[tenant] = known
        return known[1]

    def _something(self, name: PipelineName) -> bool:
        """Return whether there is something to decide now; else set when to look again."""
        self._files.adopt(name)
        schedule = self._all[name]
        if not schedule.pause and not schedule.gone:
            spec = self._files.spec(name)
            if spec is None:
                gone = "its file or its `schedule` is gone"
                broken = "its files have errors, and no version without errors is known"
                why = gone if name in self._files.missing else broken
                self._hinder([name], why, ASK_AGAIN)
                return False
            self._starter.carry_out(name, schedule, spec)
            if due(schedule, self._clock()) or ready(schedule, self._around(name, spec)):
                return True
        self._plan(name)
        return False

    def _hinder(self, names: Iterable[PipelineName], why: str, again: timedelta) -> None:
        for name in names:
            self.hindrances[name] = why
            self._next[name] = self._clock() + again

    def _plan(self, name: PipelineName) -> None:
        """Set when to look again: when the next fire is due."""
        schedule = self._all[name]
        self.hindrances.pop(name, None)
        self._next.pop(name, None)
        if not schedule.pause and not schedule.gone:
            spec = schedule.spec
            for fire in next_fires(spec.cron, spec.timezone, schedule.cursor, 1):
                self._next[name] = due_time(schedule, fire)

    async def _decide(self, name: PipelineName, standing: Standing) -> None:
        """Journal what is due and carry it out, until nothing is due any more."""
        decided = True
        while decided:
            async with self._next_turn():
                decided = self._decide_next(name, standing)
                if not decided:
                    self._files.adopt(name)
                    self._plan(name)
            await self._history.settled(self._all[name].position)

    def _decide_next(self, name: PipelineName, standing: Standing) -> bool:
        """Decide what is due, if anything is, and carry it out; return whether anything was."""
        spec = self._files.spec(name)
        if spec is None:
            return False
        schedule, now = self._all[name], self._clock()
        decided = decide(schedule, now, self._around(name, spec))
        if decided is None:
            return False
        self._history.decide(None, decided)
        self._tell(schedule, decided, now)
        self._starter.carry_out(name, self._all[name], spec, standing.share)
        return True

    @contextlib.asynccontextmanager
    async def _next_turn(self) -> AsyncGenerator[None]:
        """Wait until whatever else was ready has gone on, one schedule's turn after another's."""
        async with self._turn:
            await asyncio.sleep(0)
            yield

    def _tell(self, schedule: Schedule, decided: FiresDecided, now: datetime) -> None:
        for one in decided.decisions:
            log.info(
                "fire.decided",
                pipeline=schedule.pipeline,
                fire_time=one.fire_time.isoformat(),
                fire_count=one.fire_count,
                verdict=one.verdict,
                cause=one.cause,
            )
            if one.verdict == "start" and one.fire_time > schedule.cursor:
                self._observe_lag((now - due_time(schedule, one.fire_time)).total_seconds())

    def _around(self, name: PipelineName, spec: PipelineSpec) -> Around:
        return Around(
            live=tuple(run.name.run for run in self._history.ledger.live_beside(name)),
            window=lambda fire: window_of(spec, None, now=fire),
        )

    def adopt(self, name: PipelineName) -> None:
        """Journal what a pipeline's file says of its schedule, if that is new."""
        if self._files.adopt(name):
            self._plan(name)
            self._told.set()

    def find(self, name: PipelineName) -> Schedule:
        """Return a schedule as files and journal have it. Raises ScheduleNotFound."""
        self.adopt(name)
        schedule = self._all.get(name)
        if schedule is None or schedule.gone or name in self._files.missing:
            raise ScheduleNotFound(f"{name}/schedule")
        return schedule

    def spec(self, name: PipelineName) -> PipelineSpec | None:
        """Return what a run of a schedule would be made of; None if nothing without errors is known."""
        return self._files.spec(name)

    def of(self, tenant: str) -> list[PipelineName]:
        """Return the pipelines of a tenant that have schedules, sorted."""
        found = []
        for name in self._files.pipelines(tenant):
            with contextlib.suppress(ScheduleNotFound):
                self.find(name)
                found.append(name)
        return found

    async def pause(self, name: PipelineName, *, by: str, reason: str) -> Schedule:
        """Decide nothing any more; a schedule that is paused stays as it is."""
        if self.find(name).pause is None:
            self._history.decide(None, SchedulePaused(pipeline=str(name), by=by, reason=reason))
            self._plan(name)
        return await self.settled(name)

    async def resume(self, name: PipelineName, *, by: str) -> Schedule:
        """Go on, making up what was missed; a schedule that is not paused stays as it is."""
        if self.find(name).pause is not None:
            self._history.decide(None, ScheduleResumed(pipeline=str(name), by=by))
            self._next[name] = self._clock()
            self._told.set()
        return await self.settled(name)

    async def settled(self, name: PipelineName) -> Schedule:
        """Return a schedule when all that it says is durable. Raises JournalUnavailable."""
        schedule = self._all[name]
        await self._commands.durable(schedule.position)
        return schedule
