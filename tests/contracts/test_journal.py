"""What every journal keeps, in memory and in BigQuery, alone and under a history."""

import asyncio
import contextlib
import dataclasses
import itertools
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import pytest

from libs.bigquery import jobs
from libs.bigquery.client import Connection, connect
from libs.bigquery.columns import Column
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.ids import DatasetId
from libs.bigquery.tables import ensure_table
from libs.common.errors import Unavailable
from libs.common.names import RunName
from libs.metadata.tables import DATASET, PUBLISHED, RUN_EVENTS
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.bigquery_journal import (
    LARGEST_RECORD_BYTES,
    BigQueryJournal,
    NotInitialized,
)
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import (
    Journal,
    JournalSealed,
    MemoryJournal,
    MemoryJournals,
    RecordTooLarge,
)
from services.orchestrator.journal.rows import JournalUnreadable
from services.orchestrator.runs import records as r
from tests.integration.bigquery.proxy import Proxy, proxied
from tests.support.engine import Engine
from tests.unit.orchestrator.conductor.world import PIPELINE, spec

NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
RUN = PIPELINE.run("r1")
MIB = 1024 * 1024


class Place(Protocol):
    """Where journals of several terms are kept together."""

    def member(self) -> Journal:
        """Return a new orchestrator's way in."""

    async def stored(self) -> list[str]:
        """Return the ids of all records that are there, in order of position."""

    def largest(self) -> int:
        """Return how many bytes a record may have."""

    def lose_an_answer(self) -> contextlib.AbstractAsyncContextManager[None]:
        """An append made in the block takes effect, but its answer is lost."""

    def outage(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Appends made in the block have no effect before its end."""


class InMemory:
    def __init__(self) -> None:
        self.shared = MemoryJournals()
        self.members: list[MemoryJournal] = []

    def member(self) -> Journal:
        self.members.append(self.shared.member())
        return self.members[-1]

    async def stored(self) -> list[str]:
        return [record.event_id for record in self.shared.records]

    def largest(self) -> int:
        return self.shared.largest_bytes

    @contextlib.asynccontextmanager
    async def lose_an_answer(self) -> AsyncGenerator[None]:
        self.members[-1].lose = 1
        yield

    @contextlib.asynccontextmanager
    async def outage(self) -> AsyncGenerator[None]:
        self.members[-1].fail = 2
        yield


class InBigQuery:
    def __init__(self, connection: Connection, proxy: Proxy) -> None:
        self.direct = connect(connection)
        self.proxy = proxy
        self.shaky = connect(dataclasses.replace(connection, storage_endpoint=proxy.address))

    def member(self) -> Journal:
        return BigQueryJournal(self.shaky, streams_end_with_server=True)

    async def stored(self) -> list[str]:
        statement = "SELECT event_id FROM metadata.run_events ORDER BY position"
        rows = await asyncio.to_thread(jobs.query, self.direct, statement)
        return [str(row["event_id"]) for row in rows]

    def largest(self) -> int:
        return LARGEST_RECORD_BYTES

    @contextlib.asynccontextmanager
    async def lose_an_answer(self) -> AsyncGenerator[None]:
        before = len(await self.stored())
        self.proxy.silence(True)
        yield
        async with asyncio.timeout(20):
            while len(await self.stored()) == before:
                await asyncio.sleep(0.05)
        self.proxy.cut()
        self.proxy.silence(False)

    @contextlib.asynccontextmanager
    async def outage(self) -> AsyncGenerator[None]:
        self.proxy.refuse(True)
        yield
        await asyncio.sleep(0.3)
        self.proxy.refuse(False)

    def close(self) -> None:
        self.direct.close()
        self.shaky.close()


@pytest.fixture
def connection(engine: Engine) -> Connection:
    return Connection(engine.project, "US", engine.rest, engine.grpc)


@pytest.fixture(params=["memory", "bigquery"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        yield InMemory()
        return
    yield request.getfixturevalue("made")


@pytest.fixture
def made(connection: Connection) -> Iterator[InBigQuery]:
    """An empty journal in BigQuery."""
    with connect(connection) as bq:
        bq.rest.delete_dataset(f"local.{DATASET}", delete_contents=True, not_found_ok=True)
        metadata = DatasetId("local", DATASET)
        ensure_dataset(bq, metadata)
        for table in (RUN_EVENTS, PUBLISHED):
            columns = [Column(c.name, c.type, c.mode) for c in table.columns]
            ensure_table(bq, metadata.table(table.name), columns)
    with proxied(connection.storage_endpoint) as proxy:
        place = InBigQuery(connection, proxy)
        yield place
        place.close()


def record(
    position: int, detail: r.Detail, *, epoch: int = 1, run: RunName | None = RUN
) -> r.Record:
    return r.Record(
        event_id=f"e{position}",
        position=position,
        epoch=epoch,
        run=str(run) if run else "",
        time=NOON,
        detail=detail,
    )


def created(text: str = "") -> r.RunCreated:
    return r.RunCreated(
        spec=spec().canonical() + " " * len(text), spec_hash="h", request_id="q", request_digest="d"
    )


def some() -> list[r.Record]:
    landed = r.Landed(
        chunk_id="a.csv@1", chunk_attempt=1_000_001, stream="s", quarantine_stream="q",
        read_row_count=3, landed_row_count=2, quarantined_row_count=1, read_bytes=2**40,
        money=(
            r.Money(
                column="cost",
                read=Decimal("12345678901234567890.123456789012345678"),
                landed=Decimal("0.000000000000000001"),
                quarantined=Decimal("-1.50"),
                unparsable_count=1,
            ),
        ),
    )  # fmt: skip
    backfill = str(PIPELINE.backfill("b1"))
    days = (date(2026, 2, 28), date(1, 1, 1))
    filled = r.BackfillCreated(
        backfill=backfill, spec=spec().canonical(), spec_hash="h", request_id="q", start=days[1],
        end=date(2026, 3, 1), newest_first=True, days=days, max_parallel=4, max_failures=10,
    )  # fmt: skip
    of_backfill = r.OfBackfill(backfill=backfill, day=days[0])
    return [
        record(1, r.EpochOpened(), run=None),
        record(2, created()),
        record(3, r.ChunkCompleted(landed=landed, worker="w1")),
        record(4, r.RunHeld(reasons=('Söhne\'s "9.99"\n\\', "🙂"), expire_time=NOON)),
        record(5, filled, run=None),
        record(6, created().model_copy(update={"of_backfill": of_backfill})),
        record(7, r.BackfillPaused(backfill=backfill, by="key1", reason="Söhne's \n🙂"), run=None),
    ]


@contextlib.asynccontextmanager
async def led(place: Place, term: Term) -> AsyncGenerator[tuple[Journal, list[r.Record], str]]:
    journal = place.member()
    records, stream = await journal.open(term)
    try:
        yield journal, records, stream
    finally:
        await journal.close()


async def test_records_come_back_in_order_and_exactly_as_they_were(place: Place) -> None:
    async with led(place, Term(epoch=1)) as (journal, before, stream):
        assert before == []
        await journal.append(some()[:1])
        await journal.append(some()[1:])
        after = Term(epoch=2, predecessor=stream, predecessor_epoch=1)
        async with led(place, after) as (_, records, another):
            assert records == some()
            assert another != stream


async def test_a_leader_whose_stream_a_successor_has_sealed_can_add_nothing(place: Place) -> None:
    async with led(place, Term(epoch=1)) as (old, _, stream):
        await old.append(some()[:1])
        after = Term(epoch=2, predecessor=stream, predecessor_epoch=1)
        async with led(place, after) as (new, _, _stream):
            for _ in range(2):
                with pytest.raises(JournalSealed) as sealed:
                    await old.append([record(2, created())])
                assert sealed.value.metadata == {"stream": stream}
            await new.append([record(2, created(), epoch=2).model_copy(update={"event_id": "new"})])
    assert await place.stored() == ["e1", "new"]


async def test_who_does_not_know_of_a_leader_seals_the_stream_that_the_journal_names(
    place: Place,
) -> None:
    async with led(place, Term(epoch=1)) as (one, _, stream):
        await one.append([record(1, r.EpochOpened(stream=stream), run=None)])
        async with led(place, Term(epoch=1)) as (other, records, _stream):
            assert [x.epoch for x in records] == [1]
            with pytest.raises(JournalSealed):
                await one.append([record(2, created())])
            await other.append([record(2, created(), epoch=2)])
    assert await place.stored() == ["e1", "e2"]


async def test_a_term_that_ended_before_it_opened_a_stream_hinders_nobody(place: Place) -> None:
    async with led(place, Term(epoch=1)) as (journal, _, stream):
        await journal.append(some())
    async with asyncio.timeout(10):
        later = Term(epoch=3, predecessor=stream, predecessor_epoch=1)
        async with led(place, later) as (_, records, _stream):
            assert records == some()


async def test_opening_may_be_repeated(place: Place) -> None:
    async with led(place, Term(epoch=1)) as (journal, _, stream):
        await journal.append(some())
    later = Term(epoch=2, predecessor=stream, predecessor_epoch=1)
    for _ in range(2):
        async with led(place, later) as (_, records, _stream):
            assert records == some()


class Counting:
    """Counts what passes on its way to a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.groups: list[list[int]] = []

    @property
    def stream(self) -> str:
        return self._journal.stream

    async def open(self, term: Term) -> tuple[list[r.Record], str]:
        return await self._journal.open(term)

    def size_of(self, record: r.Record) -> int:
        return self._journal.size_of(record)

    async def append(self, records: Sequence[r.Record]) -> None:
        self.groups.append([x.position for x in records])
        await self._journal.append(records)

    async def close(self) -> None:
        await self._journal.close()


@contextlib.asynccontextmanager
async def writing(place: Place) -> AsyncGenerator[tuple[History, Counting]]:
    """A history that writes into a new journal, beginning with its own first record."""
    ids = itertools.count(1)
    async with led(place, Term(epoch=1)) as (journal, _, _stream):
        counting = Counting(journal)
        history = History(counting, epoch=1, clock=lambda: NOON, new_id=lambda: f"e{next(ids)}")
        writer = asyncio.create_task(history.write())
        await asyncio.sleep(0)
        await history.settled(1)
        try:
            yield history, counting
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


def runs(history: History, count: int) -> list[int]:
    """Decide `count` things at once; return their positions."""
    made = [history.decide(PIPELINE.run(f"r{n}"), created()) for n in range(count)]
    return [run.position for run in made if run]


async def test_what_waits_while_an_append_is_in_flight_shares_the_next_one(place: Place) -> None:
    async with writing(place) as (history, counting):
        positions = runs(history, 120)
        assert history.durable == 1
        await history.settled(positions[-1])
        written = list(itertools.chain(*counting.groups))
    assert written == list(range(1, 122))
    assert len(counting.groups) <= 5
    assert await place.stored() == [f"e{n}" for n in range(1, 122)]


async def test_patient_decisions_wait_for_one_another(place: Place) -> None:
    async with writing(place) as (history, counting):
        for number in range(3):
            history.decide(PIPELINE.run(f"r{number}"), created(), patient=True)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await history.settled(4)
    assert counting.groups == [[1], [2, 3, 4]]
    assert await place.stored() == ["e1", "e2", "e3", "e4"]


async def test_a_decision_that_is_not_patient_takes_those_before_it_along_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.journal.history.GATHER_SECONDS", 60)
    async with writing(place) as (history, counting):
        history.decide(PIPELINE.run("r1"), created(), patient=True)
        await asyncio.sleep(0)
        (position,) = runs(history, 1)
        async with asyncio.timeout(10):
            await history.settled(position)
    assert counting.groups == [[1], [2, 3]]


async def test_nothing_is_acknowledged_before_it_is_stored(place: Place) -> None:
    async with writing(place) as (history, _):
        for position in runs(history, 3):
            await history.settled(position)
            assert f"e{position}" in await place.stored()


async def test_who_no_longer_waits_hinders_nobody_and_each_hears_at_its_position(
    place: Place,
) -> None:
    async with writing(place) as (history, _):
        waits = {n: asyncio.create_task(history.settled(n)) for n in (4, 2, 3, 5, 2000)}
        await asyncio.sleep(0)
        waits[3].cancel()
        last = runs(history, 3)[-1]
        async with asyncio.timeout(10):
            await asyncio.gather(waits[4], waits[2])
        assert (last, waits[5].done(), waits[2000].done()) == (4, False, False)
        runs(history, 1)
        async with asyncio.timeout(10):
            await waits[5]
        waits[2000].cancel()


async def test_appends_wait_for_no_other_call(place: Place) -> None:
    end, busy = threading.Event(), ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    async with writing(place) as (history, _):
        loop.set_default_executor(busy)
        waiting = asyncio.ensure_future(asyncio.to_thread(end.wait, 20))
        try:
            async with asyncio.timeout(10):
                await history.settled(runs(history, 1)[-1])
        finally:
            end.set()
        assert await waiting
    assert await place.stored() == ["e1", "e2"]


async def test_an_append_whose_answer_is_lost_is_stored_once(place: Place) -> None:
    async with writing(place) as (history, _):
        async with place.lose_an_answer():
            (position,) = runs(history, 1)
        await history.settled(position)
        (last,) = [history.decide(PIPELINE.run("last"), created())]
        assert last is not None
        await history.settled(last.position)
    assert await place.stored() == ["e1", "e2", "e3"]


async def test_late_copies_of_two_appends_add_nothing_in_memory() -> None:
    """In BigQuery each has its offset in the stream, which is taken."""
    journals = MemoryJournals()
    journal = journals.member()
    await journal.open(Term(epoch=1))
    first, second = record(1, r.EpochKept(), run=None), record(2, r.EpochKept(), run=None)
    for one in (first, second, first, second):
        await journal.append([one])
    assert journals.records == [first, second]


async def test_a_journal_that_is_away_is_waited_for(place: Place) -> None:
    async with writing(place) as (history, _):
        async with place.outage():
            (position,) = runs(history, 1)
        await history.settled(position)
    assert await place.stored() == ["e1", "e2"]


async def test_a_record_that_is_too_large_is_refused_and_nothing_has_changed(place: Place) -> None:
    async with writing(place) as (history, _):
        with pytest.raises(RecordTooLarge) as refused:
            history.decide(RUN, created("x" * place.largest()))
        assert refused.value.metadata["allowed"] == str(place.largest())
        assert int(refused.value.metadata["bytes"]) > place.largest()
        assert history.ledger.runs == {}
        after = await history.record(RUN, created())
    assert (after.position, len(await place.stored())) == (2, 2)


async def test_large_records_decided_at_once_are_all_stored(place: Place) -> None:
    size = min(5 * MIB, place.largest() - 10_000)
    async with writing(place) as (history, _):
        made = [history.decide(PIPELINE.run(f"r{n}"), created("x" * size)) for n in range(3)]
        await history.settled(max(run.position for run in made if run))
    assert await place.stored() == ["e1", "e2", "e3", "e4"]


async def test_before_init_the_command_is_named(connection: Connection) -> None:
    with connect(connection) as bq:
        bq.rest.delete_dataset(f"local.{DATASET}", delete_contents=True, not_found_ok=True)
        journal = BigQueryJournal(bq, streams_end_with_server=True)
        with pytest.raises(NotInitialized) as refused:
            await journal.open(Term(epoch=1))
    assert refused.value.metadata == {"command": "convergence admin init"}


async def begun(place: InBigQuery, time: datetime) -> str:
    """Write the records of `some` as epoch 1 at `time`; return the stream."""
    async with led(place, Term(epoch=1)) as (journal, _, stream):
        await journal.append([x.model_copy(update={"time": time}) for x in some()])
    return stream


async def test_a_record_of_a_newer_version_is_refused_before_a_stream_is_opened(
    made: InBigQuery,
) -> None:
    stream = await begun(made, datetime.now(UTC))
    newer = (
        "INSERT INTO metadata.run_events (event_id, position, epoch, event_type, event_time, event_date,"
        " payload) VALUES ('e8', 8, 1, 'run.paused', CURRENT_TIMESTAMP(), CURRENT_DATE(),"
        """ '{"type":"run.paused","until":"hidden"}')"""
    )
    await asyncio.to_thread(jobs.query, made.direct, newer)
    journal = made.member()
    for _ in range(2):
        with pytest.raises(JournalUnreadable, match="unknown type") as refused:
            await journal.open(Term(epoch=2, predecessor=stream, predecessor_epoch=1))
        assert refused.value.metadata["eventId"] == "e8"
        assert "hidden" not in str(refused.value)
    await journal.close()
    await asyncio.to_thread(
        jobs.query, made.direct, "DELETE FROM metadata.run_events WHERE event_id = 'e8'"
    )
    after = Term(epoch=2, predecessor=stream, predecessor_epoch=1)
    async with led(made, after) as (_, records, _stream):
        assert records == [x.model_copy(update={"time": records[0].time}) for x in some()]


async def test_a_stream_that_is_gone_too_early_keeps_who_does_not_know_why_from_leading(
    made: InBigQuery,
) -> None:
    stream = await begun(made, datetime.now(UTC))
    gone = f"{stream}-gone"
    strict = BigQueryJournal(made.direct, streams_end_with_server=False)
    for epoch in (1, 7):
        with pytest.raises(Unavailable) as refused:
            await strict.open(Term(epoch=8, predecessor=gone, predecessor_epoch=epoch))
        assert (refused.value.reason, refused.value.metadata) == ("STREAM_GONE", {"stream": gone})


async def test_a_stream_that_nobody_wrote_to_for_days_may_be_gone(made: InBigQuery) -> None:
    stream = await begun(made, datetime.now(UTC) - timedelta(days=5))
    strict = BigQueryJournal(made.direct, streams_end_with_server=False)
    records, _ = await strict.open(Term(epoch=2, predecessor=f"{stream}-gone", predecessor_epoch=1))
    assert len(records) == len(some())
    await strict.close()


async def test_a_stream_that_nobody_ever_wrote_to_may_be_gone_when_it_was_announced_days_ago(
    made: InBigQuery,
) -> None:
    stream = await begun(made, datetime.now(UTC))
    strict = BigQueryJournal(made.direct, streams_end_with_server=False)
    days = (None, 1, 3.9)
    for ago in days:
        announced = datetime.now(UTC) - timedelta(days=ago) if ago else None
        term = Term(epoch=3, predecessor=f"{stream}-gone", predecessor_epoch=2, announced=announced)
        with pytest.raises(Unavailable) as refused:
            await strict.open(term)
        assert refused.value.reason == "STREAM_GONE"
    old = datetime.now(UTC) - timedelta(days=4.1)
    term = Term(epoch=3, predecessor=f"{stream}-gone", predecessor_epoch=2, announced=old)
    records, _ = await strict.open(term)
    assert len(records) == len(some())
    await strict.close()
