"""Seats go to chunks by turn: whoever gets a free slot wakes, at once, and nothing is lost on the way."""

import asyncio
import contextlib
import heapq
import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, Coroutine

import pytest
from structlog.testing import capture_logs

from services.orchestrator.runs.records import Share
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.dispatcher import REST_SECONDS, Dispatcher, NoWorker, Seat
from services.orchestrator.workers.memory_workers import MemorySource, MemoryWorker

EVEN = Share()
MANY = 10_000


class Time:
    """Seconds that pass when nobody can go on without."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._count), woken))
        await woken

    async def until(self, moment: float) -> None:
        """Let time pass up to a moment."""
        while True:
            for _ in range(10):
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][-1].done():
                heapq.heappop(self._sleepers)
            if not self._sleepers or self._sleepers[0][0] > moment:
                self.now = moment
                return
            self.now, _, woken = heapq.heappop(self._sleepers)
            woken.set_result(None)


class Floor:
    """A dispatcher over workers in memory, chunks that take time there, and when each began."""

    def __init__(self, *addresses: str, slots: int = 1, streams_per_hour: int = 0) -> None:
        self.time = Time()
        self.slots = slots
        workers = [MemoryWorker(a, MemorySource(), MemoryWarehouse()) for a in addresses]
        self.dispatcher = Dispatcher(
            workers,
            monotonic=self.time,
            sleep=self.time.sleep,
            streams_per_hour=streams_per_hour,
        )
        self.begun: defaultdict[str, list[float]] = defaultdict(list)
        self.tasks: list[asyncio.Task[None]] = []

    async def chunk(
        self,
        tenant: str,
        number: int = 0,
        seconds: float = 1.0,
        share: Share = EVEN,
        avoid: frozenset[str] = frozenset(),
    ) -> None:
        async with self.seat(tenant, number, share, avoid) as seat:
            self.dispatcher.resize(seat, self.slots)
            self.begun[tenant].append(self.time.now)
            await self.time.sleep(seconds)

    def seat(
        self,
        tenant: str,
        number: int = 0,
        share: Share = EVEN,
        avoid: frozenset[str] = frozenset(),
    ) -> contextlib.AbstractAsyncContextManager[Seat]:
        return self.dispatcher.seat(tenant, order=(0, number), share=share, avoid=avoid)

    def do(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert self.dispatcher.tenants() == []
        assert [worker.busy for worker in self.dispatcher.workers() if worker.busy] == []


@contextlib.asynccontextmanager
async def floor(
    *addresses: str, slots: int = 1, streams_per_hour: int = 0
) -> AsyncGenerator[Floor]:
    """Give a floor; at the end everything is cancelled, and must have given back what it had."""
    made = Floor(*addresses, slots=slots, streams_per_hour=streams_per_hour)
    try:
        yield made
    finally:
        await made.close()


async def test_ten_thousand_chunks_of_a_tenant_delay_anothers_first_by_one_chunks_time_at_most() -> (
    None
):
    async with floor("w1", "w2", "w3", "w4", slots=2) as at:
        for number in range(MANY):
            at.do(at.chunk("crowd", number))
        await at.time.until(10.25)
        assert len(at.begun["crowd"]) == 11 * 8
        for number in range(20):
            at.do(at.chunk("late", number))
        await at.time.until(13.5)
    assert at.begun["late"][0] - 10.25 <= 1.0
    assert at.begun["late"] == [11.0] * 4 + [12.0] * 4 + [13.0] * 4


async def test_a_tenants_chunks_go_by_their_order_whoever_asked_first() -> None:
    served: list[int] = []
    async with floor("w1") as at:

        async def chunk(number: int) -> None:
            async with at.seat("acme", number):
                served.append(number)

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for number in reversed(range(20)):
                group.create_task(chunk(number))
    assert served == list(range(20))


async def test_a_slot_says_whose_turn_it_was_and_how_many_were_before() -> None:
    with capture_logs() as logs:
        async with floor("w1") as at:
            at.do(at.chunk("crowd", 1))
            at.do(at.chunk("crowd", 2))
            await at.time.until(0.5)
            at.do(at.chunk("late"))
            await at.time.until(2.5)
    said = [(x["tenant_id"], x["came"], x["turn"], x["waited_ms"]) for x in logs]
    assert said == [("crowd", 0, 1, 0.0), ("late", 1, 2, 500.0), ("crowd", 0, 3, 2000.0)]
    assert {(x["event"], x["worker"]) for x in logs} == {("chunk.placed", "w1")}


async def test_a_run_that_works_on_one_chunk_at_a_time_keeps_its_turn() -> None:
    async with floor("w1", slots=2) as at:
        one = asyncio.Semaphore(1)

        async def after_another(number: int) -> None:
            async with one:
                await at.chunk("steady", number)

        for number in range(20):
            at.do(after_another(number))
        for number in range(20):
            at.do(at.chunk("crowd", number, seconds=1.5))
        await at.time.until(9.5)
    assert at.begun["steady"] == [float(n) for n in range(10)]


async def test_caps_hold_while_slots_are_free() -> None:
    async with floor("w1", slots=4) as at:
        for number in range(9):
            at.do(at.chunk("small", number, share=Share(chunk_count=2)))
        await at.time.until(2.5)
        (standing,) = at.dispatcher.tenants()
        assert (standing.slot_count, standing.waiting_count, standing.wait_seconds) == (2, 3, 2.5)
        for number in range(9):
            at.do(at.chunk("other", number))
        await at.time.until(2.75)
        assert at.begun["other"] == [2.5, 2.5]


async def test_a_worker_that_takes_more_than_it_did_is_given_it_at_once() -> None:
    async with floor("w1", slots=5) as at:
        for number in range(9):
            at.do(at.chunk("acme", number))
        await at.time.until(0.0)
        assert at.begun["acme"] == [0.0] * 5


@pytest.mark.parametrize(
    ("avoided", "goes_to"), [({"w1"}, "w2"), ({"w2"}, "w1"), ({"w1", "w2"}, "w1")]
)
async def test_an_avoided_worker_is_taken_only_where_no_other_has_a_slot(
    avoided: set[str], goes_to: str
) -> None:
    async with floor("w1", "w2") as at, at.seat("acme", avoid=frozenset(avoided)) as seat:
        assert seat.worker.address == goes_to
        async with asyncio.timeout(5), at.seat("acme", 1, avoid=frozenset({"w1", "w2"})) as other:
            assert other is not seat


async def test_a_worker_that_rests_is_given_nothing_until_it_has_rested() -> None:
    async with floor("w1") as at:
        async with at.seat("acme") as seat:
            at.dispatcher.rest(seat)
        assert [worker.resting for worker in at.dispatcher.workers()] == [True]
        at.do(at.chunk("acme"))
        await at.time.until(REST_SECONDS - 0.01)
        assert at.begun["acme"] == []
        await at.time.until(REST_SECONDS)
        assert at.begun["acme"] == [REST_SECONDS]


async def test_while_a_worker_rests_the_others_go_on() -> None:
    async with floor("w1", "w2") as at:
        async with at.seat("acme") as seat:
            at.dispatcher.rest(seat)
        for number in range(3):
            at.do(at.chunk("acme", number, seconds=0.4))
        await at.time.until(2.0)
        assert at.begun["acme"] == [0.0, 0.4, 0.8]


@pytest.mark.parametrize("turns", range(8))
async def test_a_chunk_that_is_cancelled_at_any_moment_keeps_no_slot(turns: int) -> None:
    async with floor("w1") as at:
        async with at.seat("acme"):
            waiting = at.do(at.chunk("acme", 1))
            behind = at.do(at.chunk("acme", 2, seconds=0.0))
            await at.time.until(0.0)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await at.time.until(5.0)
        assert waiting.cancelled()
        assert behind.done()


class Looks(frozenset[str]):
    """Addresses to avoid, none; counts how often somebody looks for a seat elsewhere."""

    count = 0

    def __contains__(self, address: object) -> bool:
        Looks.count += 1
        return super().__contains__(address)


async def test_a_slot_wakes_the_chunk_that_gets_it_and_no_other() -> None:
    async with floor("w1") as at:
        for number in range(500):
            at.do(at.chunk("acme", number, avoid=Looks()))
        await at.time.until(9.5)
        assert len(at.begun["acme"]) == Looks.count == 10


async def test_chunks_of_all_tenants_wait_for_streams_of_the_project_and_take_turns_for_them() -> (
    None
):
    async with floor("w1", "w2", slots=8, streams_per_hour=50) as at:
        for number in range(40):
            at.do(at.chunk("crowd", number))
        await at.time.until(5.0)
        assert len(at.begun["crowd"]) == 10
        streams = at.dispatcher.streams()
        assert (streams.per_hour, streams.ready_count) == (50, 0)
        assert 0 < streams.wait_seconds <= 90
        for number in range(10):
            at.do(at.chunk("late", number))
        await at.time.until(905.0)
        begun = sorted(
            [(t, "late") for t in at.begun["late"]] + [(t, "crowd") for t in at.begun["crowd"][10:]]
        )
        assert [who for _, who in begun] == ["late", "crowd"] * 5
        gaps = {round(b - a) for (a, _), (b, _) in itertools.pairwise(begun)}
        assert gaps == {90}
        assert not at.dispatcher.spare("new", avoid=frozenset())


async def test_streams_that_no_seat_was_given_for_delay_chunks_too() -> None:
    async with floor("w1", slots=4, streams_per_hour=50) as at:
        for _ in range(12):
            at.dispatcher.stream_opened()
        at.do(at.chunk("acme"))
        await at.time.until(1000.0)
    assert at.begun["acme"] == [pytest.approx(3 * 90.0)]


async def test_a_slot_is_spare_only_where_nobody_waits_who_may_have_it() -> None:
    at = Floor("w1", "w2")
    async with at.seat("a", 0, EVEN) as seat:
        other = frozenset({"w1", "w2"} - {seat.worker.address})
        assert at.dispatcher.spare("a", avoid=frozenset({seat.worker.address}))
        assert not at.dispatcher.spare("a", avoid=other)
        coming = asyncio.create_task(at.chunk("b"))
        await asyncio.sleep(0)
        assert at.begun["b"] == []
        assert not at.dispatcher.spare("a", avoid=frozenset({seat.worker.address}))
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        assert at.dispatcher.spare("a", avoid=frozenset({seat.worker.address}))


async def test_whoever_is_at_its_cap_keeps_no_slot_from_being_spare_for_others() -> None:
    at = Floor("w1", "w2")
    one = Share(chunk_count=1)
    async with at.seat("a", 0, one) as seat:
        waiting = asyncio.create_task(at.chunk("a", 1, share=one))
        for _ in range(5):
            await asyncio.sleep(0)
        assert at.dispatcher.spare("b", avoid=frozenset({seat.worker.address}))
        assert not at.dispatcher.spare("a", avoid=frozenset({seat.worker.address}))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def another(address: str) -> MemoryWorker:
    return MemoryWorker(address, MemorySource(), MemoryWarehouse())


async def test_a_worker_that_comes_takes_one_chunk_at_once_and_more_when_it_says_so() -> None:
    async with floor(slots=3) as at:
        for number in range(9):
            at.do(at.chunk("acme", number))
        await at.time.until(2.0)
        assert at.begun["acme"] == []
        at.dispatcher.join(another("w1"))
        assert [worker.slot_count for worker in at.dispatcher.workers()] == [1]
        await at.time.until(2.5)
        assert at.begun["acme"] == [2.0] * 3


async def test_a_worker_that_drains_is_given_nothing_and_ends_what_it_has() -> None:
    async with floor("w1", "w2") as at:
        (first, _) = at.dispatcher.workers()
        for number in range(4):
            at.do(at.chunk("acme", number))
        await at.time.until(0.5)
        worker = at.dispatcher.any()
        at.dispatcher.drain(worker, draining=True)
        await at.time.until(2.5)
        assert at.begun["acme"] == [0.0, 0.0, 1.0, 2.0]
        assert at.dispatcher.others(at.dispatcher.any()) == []
        assert at.dispatcher.any() is not worker
        assert not at.dispatcher.spare("acme", avoid=frozenset({"w2"}))
        at.do(at.chunk("acme", 9))
        at.do(at.chunk("acme", 10))
        at.dispatcher.drain(worker, draining=False)
        await at.time.until(2.75)
        assert at.begun["acme"][4:] == [2.5]
        assert first.address == "w1"


async def test_a_seat_at_a_worker_that_is_gone_is_given_back_and_never_given_again() -> None:
    async with floor("w1") as at:
        async with at.seat("acme") as seat:
            at.dispatcher.leave(seat.worker)
            assert at.dispatcher.workers() == []
        at.do(at.chunk("acme", 1))
        await at.time.until(5.0)
        assert at.begun["acme"] == []


async def test_nobody_plans_where_nobody_takes_work() -> None:
    async with floor("w1") as at:
        at.dispatcher.drain(at.dispatcher.any(), draining=True)
        with pytest.raises(NoWorker, match="none of 1 workers takes work: check that pods"):
            at.dispatcher.any()


async def test_a_worker_that_drains_no_more_wakes_who_waits() -> None:
    async with floor("w1") as at:
        worker = at.dispatcher.any()
        at.dispatcher.drain(worker, draining=True)
        at.do(at.chunk("acme"))
        await at.time.until(1.5)
        assert at.begun["acme"] == []
        at.dispatcher.drain(worker, draining=False)
        await at.time.until(1.5)
        assert at.begun["acme"] == [1.5]
