"""The load: each pipeline's tenant delivers, starts a run, steers it, and waits for its one outcome."""

import asyncio
import contextlib
import dataclasses
import random
import uuid
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

from convergence.orchestrator.v1.run_pb2 import Run, RunState

from libs.client import AsyncClient
from libs.common import errors
from tests.faults import sources
from tests.faults.histories import History
from tests.faults.odometer import Odometer
from tests.faults.sources import Delivery, Pipeline

PLAIN, CANCEL, CANCEL_SLOW, BROKEN, SHRUNKEN, DISCARDED, BAD_ROWS = SCENARIOS = (
    "plain",
    "cancel",
    "cancel_slow",
    "broken",
    "shrunken",
    "discarded",
    "bad_rows",
)
REPLACE_ONLY: Final = frozenset({SHRUNKEN, DISCARDED})
PAUSE_SECONDS: Final = 0.2
MOST_RETRIES: Final = 20
ROWS: Final = 400
SLOW_SECONDS: Final = 15.0


@dataclasses.dataclass(slots=True)
class Ground:
    """What all loads share."""

    history: History
    odometer: Odometer
    patience: float
    """Seconds that a turn may take once the nemesis has ended, or when there is no end of it."""
    healed: asyncio.Event
    slow: Callable[[str], asyncio.Event]
    """Lets the answer of the next append to a table be late; the event is set when it comes."""


class Lost(Exception):
    """A run that was acknowledged is not there."""


class Load:
    """One pipeline's turns, one after another."""

    def __init__(
        self, ground: Ground, client: AsyncClient, pipeline: Pipeline, folder: Path, seed: str
    ) -> None:
        self._ground, self._client, self.pipeline = ground, client, pipeline
        self._folder = folder
        self._random = random.Random(f"{seed} {pipeline.name}")
        self._files: dict[str, Delivery] = {}
        self._published: set[str] = set()
        self._next_id = 1
        self.turns = 0
        self.ended = asyncio.Event()
        """Set when a turn ends, until the next one begins."""

    async def run(self, stop: asyncio.Event, script: list[str]) -> None:
        """Take turns until `stop`, first those of `script`; the last one is plain and must succeed.

        Ends when a turn did not: nobody knows then what the table must hold.
        """
        while not stop.is_set():
            scenario = script.pop(0) if script else self._random.choice(SCENARIOS)
            if scenario in REPLACE_ONLY and self.pipeline.mode != "replace":
                scenario = PLAIN
            if await self.turn(scenario) == "UNFINISHED":
                return
        await self.turn(PLAIN, last=True)

    @property
    def under_way(self) -> str:
        """The name of the turn that began last."""
        return f"{self.pipeline.name}#{self.turns}"

    async def turn(self, scenario: str, *, last: bool = False) -> str:
        self.turns += 1
        self.ended.clear()
        self._deliver(scenario)
        turn = self.under_way
        files = {self._path(name): file.facts() for name, file in self._files.items()}
        self._note("turn", turn=turn, scenario=scenario, files=files, last=last)
        try:
            state = await self._patiently(self._drive(turn, scenario))
        except TimeoutError:
            state = "UNFINISHED"
        except Lost:
            state = "MISSING"
        self._note("outcome", turn=turn, state=state)
        self.ended.set()
        if state == "SUCCEEDED":
            self._published.update(self._files)
        return state

    async def _patiently(self, work: Coroutine[Any, Any, str]) -> str:
        """Do `work`; raise TimeoutError when it takes too long although all is well."""
        task = asyncio.create_task(work)
        try:
            healed = asyncio.create_task(self._ground.healed.wait())
            await asyncio.wait({task, healed}, return_when=asyncio.FIRST_COMPLETED)
            healed.cancel()
            return await asyncio.wait_for(task, self._ground.patience)
        finally:
            task.cancel()

    async def _drive(self, turn: str, scenario: str) -> str:
        request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        slowed = self._ground.slow(self._tables()) if scenario == CANCEL_SLOW else None
        run = await self._call(
            turn,
            "create",
            lambda: self._client.runs.start(self.pipeline.name, request_id=request_id),
        )
        if self._random.random() < 0.3:
            await self._call(
                turn,
                "create",
                lambda: self._client.runs.start(self.pipeline.name, request_id=request_id),
            )
        name = run.name
        if slowed is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(slowed.wait(), SLOW_SECONDS)
            await self._steer(turn, "cancel", lambda: self._client.runs.cancel(name))
        elif scenario == CANCEL:
            after = self._ground.odometer.count + self._random.randrange(1, 25)
            await self._ground.odometer.reach(after, within=2.0)
            await self._steer(turn, "cancel", lambda: self._client.runs.cancel(name))
        return await self._settle(turn, scenario, name)

    async def _settle(self, turn: str, scenario: str, name: str) -> str:
        """Bring a run to an end that stays."""
        for _ in range(MOST_RETRIES):
            run = await self._wait(turn, name)
            state = RunState.Name(run.state).removeprefix("RUN_STATE_")
            if state in {"SUCCEEDED", "CANCELLED", "SUPERSEDED", "MISSING"}:
                return state
            if state == "HELD":
                op = "discard" if scenario == DISCARDED else "approve"
                await self._steer(turn, op, partial(getattr(self._client.runs, op), name))
                continue
            if scenario == BROKEN:
                self._write_all()
            retry = partial(self._client.runs.retry, name, failed_attempt=run.attempt)
            await self._steer(turn, "retry", retry)
        return state

    async def _wait(self, turn: str, name: str) -> Run:
        """Watch a run until it rests, and note each state."""
        last = ""
        while True:
            try:
                async for seen in self._client.runs.watch(name, patience=5.0):
                    run = seen.run
                    state = RunState.Name(run.state).removeprefix("RUN_STATE_")
                    if state != last:
                        last = state
                        failure = run.failure.reason or None
                        self._note("seen", turn=turn, run=name, state=state, failure=failure)
            except errors.NotFound as error:
                if error.reason == "RUN_NOT_FOUND":
                    self._note("seen", turn=turn, run=name, state="MISSING")
                    raise Lost from error
            except errors.ServiceError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return run

    async def _call(self, turn: str, op: str, call: Callable[[], Coroutine[Any, Any, Run]]) -> Run:
        """Repeat a call until it is answered; record each time it was asked and answered."""
        while True:
            self._note("asked", turn=turn, op=op)
            await self._ground.odometer.add()
            try:
                run = await call()
            except errors.ServiceError as error:
                self._note(
                    "refused", turn=turn, op=op, how=type(error).__name__, reason=error.reason
                )
                if not isinstance(error, errors.Unavailable | errors.QuotaExceeded):
                    if op == "create" and error.reason != "RUN_ALREADY_ACTIVE":
                        self._note("odd", turn=turn, op=op, text=str(error))
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                state = RunState.Name(run.state).removeprefix("RUN_STATE_")
                self._note("answered", turn=turn, op=op, run=run.name, state=state)
                return run

    async def _steer(
        self, turn: str, op: str, call: Callable[[], Coroutine[Any, Any, Run]]
    ) -> None:
        """Ask for a move that the run's state may not allow any more."""
        try:
            await self._call(turn, op, call)
        except errors.ServiceError:
            await asyncio.sleep(PAUSE_SECONDS)

    def _deliver(self, scenario: str) -> None:
        """Write this turn's files and remove some that were published before."""
        mode, turn = self.pipeline.mode, self.turns
        bad = self._random.randrange(1, 9) if scenario == BAD_ROWS else 0
        if mode == "replace":
            names = ["a.csv", "b.csv"] if turn == 1 else [self._random.choice(["a.csv", "b.csv"])]
            share = 0.3 if scenario in REPLACE_ONLY and turn > 1 else 1.0
        else:
            old = sorted(self._published & set(self._files), key=lambda n: self._files[n].version)
            for name in old if mode == "merge" else old[:-2]:
                del self._files[name]
                (self._folder / name).unlink()
            names, share = [f"d{turn:05d}.csv"], 1.0
        for name in names:
            good = int(share * self._random.randrange(int(ROWS * 0.8), ROWS + 1))
            self._files[name] = Delivery(
                first=self._next_id,
                good=good,
                bad=bad,
                version=turn,
                key=self._random.randrange(sources.KEYS),
            )
            self._next_id += good + bad
            if scenario == BROKEN:
                sources.write(self._folder / name, self._files[name], broken=True)
            else:
                sources.write(self._folder / name, self._files[name])

    def _write_all(self) -> None:
        for name, delivery in self._files.items():
            if delivery.version == self.turns:
                sources.write(self._folder / name, delivery)

    def _tables(self) -> str:
        """Return what the names of streams into this pipeline's tables match."""
        return f"/datasets/{self.pipeline.tenant}_.*/tables/{self.pipeline.mode}_rows"

    def _path(self, name: str) -> str:
        return f"deliveries/{self.pipeline.mode}/{name}"

    def _note(self, kind: str, **facts: Any) -> None:
        self._ground.history.write(kind, pipeline=self.pipeline.name, **facts)
