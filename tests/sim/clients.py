"""One tenant's people and programs: they deliver, and ask for what they want until somebody answers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID

from libs.common.errors import NotFound, ServiceError, Unavailable
from libs.common.names import PipelineName, RunName
from services.orchestrator.active import Active
from services.orchestrator.conductor.commands import Commands, Start
from services.orchestrator.runs.run import Run
from services.orchestrator.workers.memory_workers import Item
from tests.sim.invariants import Broken
from tests.sim.pods import Pod
from tests.sim.runs import FINAL, RESTING
from tests.sim.world import Tenant, World
from tests.unit.orchestrator.conductor.world import NOON
from tests.unit.orchestrator.model.plain import REPORT
from tests.unit.orchestrator.model.story import DAYS, MONTHS, NAMES

ANSWER_SECONDS: Final = 12.0
"""How long a client waits for an answer before it asks again."""

DAY: Final = 86_400.0
T = TypeVar("T")
MONEY: Final = ("0", "1", "2.5", "-3", "0.000000000000000001", "12345678901234567890")


class Client:
    """One tenant's people and programs."""

    def __init__(self, world: World, tenant: Tenant, number: int) -> None:
        self.world = world
        self.tenant = tenant
        self.random = Random(f"{world.seed}/{tenant.name}")
        self._request = 1_000_000 * (number + 1)
        self._asked: dict[str, Callable[[Commands], Coroutine[Any, Any, Run]]] = {}
        """Every start that was answered with a run, by that run's name."""
        self._names = 0

    async def live(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.deliver()
        for _ in range(self.random.randint(2, 3)):
            await asyncio.sleep(self.random.uniform(0, 4))
            names = await asyncio.gather(*self._starts())
            if self.random.random() < 0.5:
                self.deliver()
            for name in filter(None, names):
                await self._go_on(name)

    async def _go_on(self, name: str) -> None:
        """Wait for a run, or cancel it meanwhile; often do what it asks for then."""
        if self.random.random() < 0.2:
            await asyncio.sleep(self.random.uniform(0, 5))
            await self.order(name, "cancel")
        if self.random.random() < 0.3:
            await asyncio.sleep(self.random.uniform(0, 2))
            self.deliver()
        await self.rests(name, 200)
        if self.random.random() < 0.5:
            await self.steer(name)

    def deliver(self) -> None:
        """Change the source."""
        source, random = self.tenant.source, self.random
        match self.tenant.mode:
            case "report":
                source.inputs[REPORT] = [
                    self._item(random.choice(DAYS), fixed=(random.choice("AB"),))
                    for _ in range(random.randint(4, 9))
                ]
            case "manifest":
                self._export(random.choice(MONTHS))
            case mode:
                name = random.choice(NAMES)
                if mode in {"append", "direct"} and random.random() < 0.85:
                    self._names += 1
                    name = f"n{self._names}.csv"
                if random.random() < 0.1:
                    source.inputs.pop(name, None)
                else:
                    source.inputs[name] = self._rows(name)
        self.tenant.books.changed(source.inputs, tuple(source.deliveries))
        self.world.tell(
            f"      {self.tenant.name} ({self.tenant.mode}) has {sorted(source.inputs)}"
        )

    def _export(self, month: str) -> None:
        source = self.tenant.source
        for name in source.deliveries.pop(month, ()):
            del source.inputs[name]
        if self.random.random() < 0.1:
            return
        names = [f"{month}/{x}" for x in self.random.sample(NAMES, self.random.randint(0, 3))]
        source.deliveries[month] = tuple(names)
        source.inputs.update({name: self._rows(name) for name in names})

    def _rows(self, name: str) -> list[Item]:
        count = self.random.choice([0, 1, 1, 2, 2, 3, 4])
        return [self._item(name) for _ in range(count)]

    def _item(self, scope: str, fixed: tuple[str, ...] = ()) -> Item:
        random = self.random
        return Item(
            scope=scope,
            money=(random.choice(MONEY),),
            bad=random.random() < 0.12,
            key=random.choice("abc"),
            version=random.randint(0, 2),
            fixed=fixed,
        )

    def _starts(self) -> list[Coroutine[Any, Any, str | None]]:
        """Ask for a run, or for two at once."""
        random, tenant = self.random, self.tenant
        if tenant.mode == "report":
            account = random.choice("AB")
            days = random.sample(range(3), random.choice([1, 1, 2]))
            return [self.start(0, account, NOON - timedelta(days=day)) for day in days]
        count = len(tenant.pipelines)
        chosen = random.sample(range(count), random.choice([1, 1, count]))
        reload = tenant.mode in {"append", "direct"} and random.random() < 0.2
        return [self.start(which, "A", None, reload=reload) for which in chosen]

    async def start(
        self, which: int, account: str, moment: datetime | None, *, reload: bool = False
    ) -> str | None:
        """Ask for a run of a pipeline until it is created; return its name."""
        pipeline = self.tenant.pipelines[which]
        spec = self.tenant.spec(pipeline, account)
        for _ in range(5):
            self._request += 1
            start = Start(
                pipeline=PipelineName(self.tenant.name, pipeline),
                request_id=UUID(int=self._request),
                moment=moment,
                reload=reload,
                created_by="key1",
                traceparent="",
            )

            async def command(commands: Commands, start: Start = start) -> Run:
                return await commands.repeated(start) or await commands.create(start, spec)

            if run := await self._ask(f"start {self._request}", command):
                self._asked[str(run.name)] = command
                return str(run.name)
            await asyncio.sleep(30)
        return None

    async def order(self, name: str, verb: str) -> Run | None:
        """Cancel, approve, discard or retry a run."""
        run, attempt = RunName.parse(name), self.world.checks.runs[name].attempt

        async def command(commands: Commands) -> Run:
            if verb == "retry":
                return await commands.retry(run, failed_attempt=attempt, by="key1", spec="")
            asked: Callable[..., Awaitable[Run]] = getattr(commands, verb)
            return await asked(run, by="key2", reason="looked at it")

        return await self._ask(f"{verb} {name}", command)

    async def _ask(
        self, what: str, command: Callable[[Commands], Coroutine[Any, Any, Run]]
    ) -> Run | None:
        """Ask until somebody answers; return None for a refusal, or when nobody does for long."""
        for _ in range(40):
            answer = await self.through(what, lambda active: command(active.commands))
            if isinstance(answer, Run):
                self.world.checks.acknowledge(what, answer)
                if self.random.random() > 0.1:
                    return answer
            elif answer is not None and not isinstance(answer, Unavailable | NotFound):
                self.world.tell(f"      {what}: {answer}")
                return None
            await asyncio.sleep(self.random.uniform(0.1, 2))
        return None

    async def _ask_again(
        self, name: str, command: Callable[[Commands], Coroutine[Any, Any, Run]]
    ) -> None:
        """Ask for a run that there is, as a program does that was restored from a copy."""
        answer = await self._ask(f"again, {name}", command)
        if answer is not None and str(answer.name) != name:
            text = f"the request of {name} is answered with {answer.name}"
            self.world.fail(Broken("acknowledged-is-durable", text))

    async def through(
        self, what: str, command: Callable[[Active], Coroutine[Any, Any, T]]
    ) -> T | ServiceError | None:
        """Ask one orchestrator, mostly the newest leader; return None if it does not answer."""
        pods = self.world.active()
        if not pods:
            return None
        pod = pods[0] if self.random.random() < 0.85 else self.random.choice(pods)
        active, process = pod.active, pod.process
        assert active is not None
        work = self.world.loop.spawn(process, command(active))
        await asyncio.wait({work}, timeout=ANSWER_SECONDS)
        if not work.done() or work.cancelled():
            return None
        return self._answer(what, pod, work)

    def _answer(self, what: str, pod: Pod, work: asyncio.Task[T]) -> T | ServiceError | None:
        error = work.exception()
        if error is None:
            return work.result()
        if isinstance(error, ServiceError):
            return error
        if not self.world.old(pod.process):
            self.world.fail(Broken("no-crash", f"{what}: {error!r}"))
        return None

    async def rests(self, name: str, seconds: float) -> str:
        """Wait until a run rests; return its state."""
        end = self.world.loop.now + seconds
        while (state := self.world.checks.runs[name].state) not in RESTING:
            if self.world.loop.now >= end:
                break
            await asyncio.sleep(0.5)
        return state

    async def steer(self, name: str) -> None:
        """Do what a run asks for that rests; wait for it."""
        match self.world.checks.runs[name].state:
            case "HELD":
                verb = self.random.choice(["approve"] * 4 + ["discard", "cancel"])
            case "FAILED":
                verb = self.random.choice(["retry"] * 4 + ["cancel"])
            case "TRANSFORM_FAILED":
                verb = "retry"
            case _:
                return
        await self.order(name, verb)
        await self.rests(name, 100)

    async def finish(self) -> None:
        """Bring every run to its end, sometimes by leaving it alone for long."""
        for name, command in self._asked.items():
            await self._ask_again(name, command)
        if self.random.random() < 0.1:
            await asyncio.sleep(self.random.choice([8, 32]) * DAY)
        await self.bring_to_rest()

    async def bring_to_rest(self) -> None:
        """Approve, retry or end what is left, until every run has ended."""
        runs = self.world.checks.runs
        for turn in range(12):
            for name in [name for name, told in runs.items() if told.tenant == self.tenant.name]:
                await self.rests(name, 600)
                await self._bring(name, turn)

    async def _bring(self, name: str, turn: int) -> None:
        told = self.world.checks.runs[name]
        if told.state in FINAL:
            return
        last = turn > 3 + told.attempt % 2
        verb = {
            "HELD": "discard" if last else "approve",
            "FAILED": "cancel" if last else "retry",
            "TRANSFORM_FAILED": "retry",
        }.get(told.state)
        if verb is not None:
            await self.order(name, verb)
