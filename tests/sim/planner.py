"""A tenant whose pipeline runs by itself: it pauses, resumes and edits its schedule, and fills days of the past."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from libs.common.errors import NotFound, ServiceError, Unavailable
from libs.common.names import BackfillName, PipelineName
from services.orchestrator.active import Active
from services.orchestrator.backfills.backfill import Backfill
from services.orchestrator.backfills.commands import Ask
from services.orchestrator.backfills.ranges import Range
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.schedules.schedule import Schedule
from services.orchestrator.schedules.tenants import Standing
from services.orchestrator.specs import Overlap, ScheduleSpec
from services.orchestrator.workers.workers import ChunkFailed
from tests.sim.clients import Client
from tests.sim.fillings import Filling
from tests.sim.invariants import Broken
from tests.sim.trouble import BUSY, break_one
from tests.sim.world import Tenant, World
from tests.unit.orchestrator.conductor.world import NOON
from tests.unit.orchestrator.model.plain import REPORT
from tests.unit.orchestrator.model.story import FORBIDDEN

HOUR: Final = 3_600.0
POLICIES: Final[tuple[Overlap, ...]] = (
    "skip", "buffer_one", "buffer_all", "cancel_other", "allow_all",
)  # fmt: skip
MINUTES: Final = ("* * * * *", f"{','.join(map(str, range(0, 60, 2)))} * * * *")
HOURS: Final = ("0 6 * * *", "0 0,6,12,18 * * *", "30 1,13 * * *")
LEADERS: Final = ("kill", "pause", "depose", "standby")
OFTEN: Final = 5.0
RARELY: Final = 1_800.0
"""Seconds between looks at a schedule that fires every minute, and at one that does every few hours."""


class Planner(Client):
    """Its stories last for minutes, of a schedule that fires each, or for days."""

    def __init__(self, world: World, tenant: Tenant, number: int) -> None:
        super().__init__(world, tenant, number)
        self.hasty = self.random.random() < 0.5
        self.pipeline = PipelineName(tenant.name, tenant.pipelines[0])
        self._ids = 2_000_000

    async def live(self) -> None:
        self.world.look_seconds = OFTEN if self.hasty else RARELY
        self.deliver()
        self.edit()
        for action in self._story():
            await action()
            unit = 1.0 if self.hasty else HOUR / 2
            await asyncio.sleep(self.random.uniform(2, 35) * unit)

    def _story(self) -> Iterator[Callable[[], Coroutine[Any, Any, object]]]:
        actions = [
            *[self._deliver, self._manual, self._edit, self._outage, self._break, self._steer_one],
            *[self._pause, self._resume, self._suspend, self._spoil],
            *[self._busy] * 3, *[self._backfill] * 3, self._resume_backfill,
        ]  # fmt: skip
        chosen = [self.random.choice(actions) for _ in range(self.random.randint(5, 8))]
        yield self._manual
        yield from (x for n, x in enumerate(chosen) if x != self._outage or x not in chosen[:n])

    def deliver(self) -> None:
        """Change the report of the days around today."""
        today = self.world.now().date()
        days = [(today - timedelta(days=n)).isoformat() for n in range(-1, 5)]
        kept = [x for x in self.tenant.source.inputs.get(REPORT, ()) if x.scope not in days]
        new = [self._item(self.random.choice(days), fixed=("A",)) for _ in range(6)]
        self.tenant.source.inputs[REPORT] = [*kept, *new]
        self.world.tell(f"      {self.tenant.name} has other rows for {days[-1]} to {days[0]}")

    def edit(self) -> None:
        """Write the pipeline's file anew."""
        random = self.random
        self.tenant.schedule = ScheduleSpec(
            cron=random.choice(MINUTES if self.hasty else HOURS),
            overlap=random.choice(POLICIES),
            catch_up_seconds=random.choice((60, 180) if self.hasty else (43_200, 172_800)),
        )
        self._write()

    def _write(self) -> None:
        self.world.tell(f"      {self.pipeline} says {self.tenant.schedule}")
        self.world.catalogue.put(self.tenant.spec(self.pipeline.pipeline), at=NOON)

    async def _deliver(self) -> None:
        self.deliver()

    async def _edit(self) -> None:
        self.edit()

    async def _spoil(self) -> None:
        """Break the file for a while: what was said last goes on."""
        name = self.pipeline
        error = FileError(file="p.yml", field="source", found="", allowed="", advice="")
        self.world.catalogue.put_broken(name.tenant, name.pipeline, error, at=NOON)
        self.world.later(100 if self.hasty else 30 * HOUR, self._write)

    async def _busy(self) -> None:
        """Let chunks wait for a while: runs are live when the next fire is due."""
        for worker in self.world.workers:
            for _ in range(self.random.randint(1, 2)):
                failed = ChunkFailed(BUSY, transient=True, retry_after=self.random.uniform(20, 200))
                worker.tenants[self.tenant.name].failures.append(failed)

    async def _manual(self) -> None:
        day = self.random.choice([0, 0, 1, 2])
        name = await self.start(0, "A", self.world.now() - timedelta(days=day, minutes=1))
        if name and self.random.random() < 0.3:
            await self.order(name, "cancel")

    async def _outage(self) -> None:
        self.world.events += 1
        self.world.outage(
            self.random.uniform(20, 150) if self.hasty else self.random.uniform(2, 60) * HOUR
        )

    async def _break(self) -> None:
        self.world.events += break_one(self.world, self.random, self.random.choice(LEADERS))

    async def _suspend(self) -> None:
        """Let the tenant start nothing for a while."""
        self.world.standings.standings[self.tenant.name] = Standing(refusal="suspended")
        seconds = self.random.uniform(20, 150) if self.hasty else self.random.uniform(2, 60) * HOUR
        self.world.later(seconds, self.world.standings.standings.pop, self.tenant.name, None)

    async def _steer_one(self) -> None:
        runs = self.world.checks.runs
        mine = [name for name, run in runs.items() if run.tenant == self.tenant.name]
        for name in self.random.sample(mine, min(len(mine), 2)):
            await self.steer(name)

    async def _pause(self) -> bool:
        return await self._say(
            "pause the schedule",
            lambda active: active.scheduler.pause(self.pipeline, by="key1", reason="wait"),
        )

    async def _resume(self) -> bool:
        return await self._say(
            "resume the schedule", lambda active: active.scheduler.resume(self.pipeline, by="key2")
        )

    async def _backfill(self) -> None:
        """Ask for a few days of the past, until it is answered."""
        random, today = self.random, self.world.now().date()
        start = today - timedelta(days=random.randint(2, 6))
        self._ids += 1
        ask = Ask(
            pipeline=self.pipeline,
            request_id=UUID(int=self._ids),
            range=Range(start=start, end=start + timedelta(days=random.randint(1, 4))),
            max_parallel=random.choice([1, 2, 3]),
            newest_first=random.random() < 0.5,
            max_failures=random.choice([1, 2, 10]),
            reload=False,
            reason="",
            created_by="key1",
            traceparent="",
        )
        spec = self.tenant.spec(self.pipeline.pipeline)

        async def create(active: Active) -> Backfill:
            backfills = active.backfills
            return await backfills.repeated(ask) or await backfills.create(ask, spec)

        if random.random() < 0.4:
            self._forbid()
        await self._say(f"backfill {ask.range}", create)
        for verb in random.choice([(), ("pause",), ("pause", "resume"), ("cancel",)]):
            await asyncio.sleep(random.uniform(0, 3))
            await self._steer_backfills(verb)

    def _forbid(self) -> None:
        """Let a chunk fail for good."""
        worker = self.random.choice(self.world.workers)
        failed = ChunkFailed(FORBIDDEN, transient=False)
        worker.tenants[self.tenant.name].failures.append(failed)

    async def _resume_backfill(self) -> None:
        await self._steer_backfills("resume")

    async def _steer_backfills(self, verb: str) -> None:
        said = {} if verb == "resume" else {"reason": "wrong days"}
        for name in self._open_backfills():

            async def command(active: Active, name: str = name) -> Backfill:
                asked = getattr(active.backfills, verb)
                return cast("Backfill", await asked(BackfillName.parse(name), by="key2", **said))

            await self._say(f"{verb} {name}", command)

    def _open_backfills(self) -> dict[str, Filling]:
        return {name: x for name, x in self.world.checks.plans.backfills.by_name.items() if x.open}

    async def _say(
        self, what: str, command: Callable[[Active], Coroutine[Any, Any, Schedule | Backfill]]
    ) -> bool:
        """Ask until somebody answers, or refuses; return False where nobody does for long."""
        for _ in range(40):
            answer = await self.through(what, command)
            if isinstance(answer, Schedule | Backfill):
                self.world.checks.answer(what, answer.position)
                return True
            if isinstance(answer, ServiceError) and not isinstance(answer, Unavailable | NotFound):
                self.world.tell(f"      {what}: {answer}")
                return True
            await asyncio.sleep(self.random.uniform(0.1, 2))
        return False

    async def finish(self) -> None:
        """Let everything that is due be decided and every backfill end; then bring each run to its end."""
        self._write()
        while not await self._resume():
            await asyncio.sleep(10)
        until = self.world.now() - timedelta(minutes=1)
        end = self.world.loop.now + (2_000 if self.hasty else 48 * HOUR)
        while not self._settled(until):
            if self.world.loop.now > end:
                self.world.fail(Broken("fires-once", f"not all that was due at {until} is decided"))
            await self._mend_backfills()
            await asyncio.sleep(5 if self.hasty else HOUR / 4)
        await self._pause()
        while len(self.world.checks.runs) < 3:
            await self._manual()
        self.world.look_seconds = 0.0
        await Client.finish(self)

    def _settled(self, until: datetime) -> bool:
        checks = self.world.checks
        fired = checks.plans.schedules.settled(str(self.pipeline), until)
        return fired and not self._open_backfills()

    async def _mend_backfills(self) -> None:
        """Resume what has paused, and end in the end what does not end."""
        for one in self._open_backfills().values():
            if one.state == "PAUSED":
                await self._resume_backfill()
