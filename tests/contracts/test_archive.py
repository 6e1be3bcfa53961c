"""What has left the ledger is read again, from memory and from BigQuery; and a start reads no more."""

import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import pytest

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.common.names import TenantName
from libs.metadata.tables import DQ_RESULTS, PIPELINE_RUNS
from services.orchestrator.archive.archive import Archive, MemoryArchive, PublishedGone
from services.orchestrator.archive.bigquery_archive import BigQueryArchive
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.bigquery_journal import BigQueryJournal
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournal
from services.orchestrator.journal.rows import JournalUnreadable
from services.orchestrator.projections.bigquery_projections import BigQueryProjections
from services.orchestrator.retries.pauses import Pauses
from services.orchestrator.runs import records as r
from services.orchestrator.runs.checkpoints import needed
from services.orchestrator.runs.ledger import key_of
from services.orchestrator.workers.memory_workers import Item
from tests.contracts.test_projections import both, following, result
from tests.support.engine import Engine, start_engine
from tests.support.metadata_tables import emptied
from tests.unit.orchestrator.conductor.world import PIPELINE, World, spec
from tests.unit.orchestrator.journals.test_checkpoints import checkpointed

A = [Item(scope="a.csv", money=("1.5",))]
LOST = Item(scope="a.csv", money=("9.99",), bad=True)
FORGET = timedelta(seconds=-1)


@dataclasses.dataclass(slots=True)
class Told:
    """A journal with a checkpoint, stored and projected."""

    bq: BigQuery
    records: list[r.Record]

    async def read(self) -> list[r.Record]:
        """Read it as the next orchestrator does."""
        journal = BigQueryJournal(self.bq, streams_end_with_server=True)
        try:
            found, _ = await journal.open(Term(epoch=9))
        finally:
            await journal.close()
        return found

    async def query(self, statement: str) -> None:
        await asyncio.to_thread(jobs.query, self.bq, statement)

    async def rows(self, statement: str) -> list[jobs.Row]:
        return await asyncio.to_thread(jobs.query, self.bq, statement)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with start_engine() as running:
        yield running


def history_of(records: list[r.Record]) -> History:
    made = World()
    history = History(MemoryJournal(), epoch=9, clock=made.clock, new_id=lambda: "x")
    history.load(records)
    return history


async def projected(bq: BigQuery, records: list[r.Record]) -> BigQueryProjections:
    """Write all projections of a journal, as an orchestrator does until nothing waits."""
    history = history_of(records)
    projections = BigQueryProjections(bq, history)
    async with following(projections), asyncio.timeout(60):
        while not all(map(projections.written, history.ledger.runs.values())):
            await asyncio.sleep(0.02)
    return projections


@pytest.fixture
def bq(engine: Engine) -> Iterator[BigQuery]:
    with emptied(engine) as made:
        yield made


@pytest.fixture
async def told(bq: BigQuery) -> Told:
    made = World.of(a_csv=[*A, LOST])
    made.source.deliveries = {"2026-11": ("a.csv",)}
    made.judge.results = (result(0), result(1))
    async with made.orchestrator() as o:
        held = await o.finish()
        await o.approve(held)
        await o.rest(held)
        made.source.deliveries = {}
        made.source.inputs = {"b.csv": [Item(scope="b.csv", money=("2",))]}
        await o.finish(spec(mode="append", on_failure="warn"))
        made.source.inputs = {"c.csv": [Item(scope="c.csv", money=("3",)), LOST]}
        await o.finish()
        await checkpointed(o, kept_for=FORGET)
        made.source.inputs = {"d.csv": [Item(scope="d.csv", money=("4",))]}
        await o.finish(spec(mode="append", on_failure="warn"))
    journal = BigQueryJournal(bq, streams_end_with_server=True)
    await journal.open(Term(epoch=1))
    await journal.append(made.journals.records)
    await journal.close()
    await projected(bq, made.journals.records)
    return Told(bq, list(made.journals.records))


@pytest.fixture(params=["memory", "bigquery"])
def archive(request: pytest.FixtureRequest, told: Told) -> Archive:
    if request.param == "memory":
        return MemoryArchive(lambda: told.records)
    return BigQueryArchive(told.bq)


async def test_what_is_published_is_known_as_the_journal_says_it(
    told: Told, archive: Archive
) -> None:
    runs = history_of(told.records).ledger.runs.values()
    (key,) = {key_of(run) for run in runs}
    facts = {(fact.kind, fact.name): fact for fact in await archive.published(key)}
    known = await MemoryArchive(lambda: told.records).published(key)
    assert facts == {(fact.kind, fact.name): fact for fact in known}
    assert {kind for kind, _ in facts} == {"scope", "input", "delivery"}
    assert await archive.published((PIPELINE, "another.table")) == []


async def test_a_run_of_the_past_is_its_records(told: Told, archive: Archive) -> None:
    names = list(history_of(told.records).ledger.runs)
    wanted = [x for x in told.records if x.run in {str(names[0]), str(names[2])}]
    assert await archive.records([names[0], names[2]]) == wanted
    assert await archive.records([PIPELINE.run("nobody")]) == []
    assert await archive.records([]) == []


async def test_a_start_whose_tables_lack_nothing_goes_on_following(told: Told) -> None:
    history = history_of(await told.read())
    assert history.ledger.recalled == set()
    projections = BigQueryProjections(told.bq, history)
    assert await projections._forgotten_behind() == []
    await projections._rebuild(Pauses(sleep=asyncio.sleep))


async def test_runs_are_found_the_newest_first(told: Told, archive: Archive) -> None:
    names = list(history_of(told.records).ledger.runs)[::-1]
    for parent in (PIPELINE, TenantName("acme_corp")):
        found = await archive.begun(parent, states=frozenset(), below=0, limit=9)
        assert [one.name for one in found] == names
        some = await archive.begun(parent, states=frozenset(), below=found[0].position, limit=2)
        assert some == found[1:3]
    held = await archive.begun(PIPELINE, states=frozenset({"HELD"}), below=0, limit=9)
    assert [one.name for one in held] == [names[1]]
    assert await archive.begun(TenantName("other"), states=frozenset(), below=0, limit=9) == []


async def test_a_start_reads_from_the_last_checkpoint_on(told: Told) -> None:
    short = needed(told.records)
    assert len(short) < len(told.records)
    assert await told.read() == short


async def test_a_start_reads_everything_where_published_is_not_whole(told: Told) -> None:
    await told.query("DELETE FROM metadata.published WHERE tenant_id = '-'")
    with pytest.raises(PublishedGone):
        await BigQueryArchive(told.bq).published((PIPELINE, "raw.table"))
    assert await told.read() == told.records
    told.bq.rest.delete_table("local.metadata.published")
    assert await told.read() == told.records


async def test_published_that_was_dropped_is_rebuilt_from_the_journal(told: Told) -> None:
    select = "SELECT * FROM metadata.published ORDER BY kind, scope_key"
    before = await asyncio.to_thread(jobs.query, told.bq, select)
    await told.query("DELETE FROM metadata.published WHERE TRUE")
    await projected(told.bq, await told.read())
    assert await asyncio.to_thread(jobs.query, told.bq, select) == before
    assert await told.read() == needed(told.records)


@pytest.mark.parametrize(
    "kept", [True, False], ids=["of a run that is kept", "of one that has left"]
)
async def test_a_missing_record_before_the_checkpoint_is_noticed(told: Told, kept: bool) -> None:
    names = {x.run for x in needed(told.records)}
    mark = needed(told.records)[-1].position
    gone = next(
        x.position for x in told.records if x.position < mark and x.run and (x.run in names) == kept
    )
    await told.query(f"DELETE FROM metadata.run_events WHERE position = {gone}")
    with pytest.raises(JournalUnreadable, match=f"{gone - 1} records stand before it"):
        await told.read()


async def test_a_kept_run_that_has_other_records_than_were_counted_is_read_with_all(
    told: Told,
) -> None:
    """Rows whose day lies outside of what a start reads of a run: a clock that was set back."""
    kept = next(x.run for x in needed(told.records) if x.run)
    first = next(x.position for x in told.records if x.run == kept)
    await told.query(
        f"UPDATE metadata.run_events SET event_date = DATE '2020-01-01' WHERE position = {first}"
    )
    assert await told.read() == told.records


@pytest.mark.parametrize("table", ["pipeline_runs", "dq_results"])
async def test_rows_of_runs_that_have_left_are_rebuilt(told: Told, table: str) -> None:
    before = await both(told.bq)
    assert all(before)
    await told.query(f"DELETE FROM metadata.{table} WHERE TRUE")
    history = history_of(await told.read())
    assert history.ledger.recalled == set()
    async with following(BigQueryProjections(told.bq, history)), asyncio.timeout(60):
        while await both(told.bq) != before:
            await asyncio.sleep(0.05)


async def test_a_start_that_writes_what_was_added_to_a_delivery_keeps_what_stood_there(
    bq: BigQuery,
) -> None:
    made = World.of(a_csv=A)
    made.source.deliveries = {"2026-11": ("a.csv",)}
    async with made.orchestrator() as o:
        await o.finish(spec(mode="append"))
        await projected(bq, list(made.journals.records))
        await checkpointed(o, kept_for=FORGET)
        made.source.inputs = {"b.csv": [Item(scope="b.csv", money=("2",))]}
        made.source.deliveries = {"2026-11": ("b.csv",)}
        key = key_of(await o.finish(spec(mode="append")))
    await projected(bq, needed(made.journals.records))
    facts = {(fact.kind, fact.name): fact for fact in await BigQueryArchive(bq).published(key)}
    whole = await MemoryArchive(lambda: made.journals.records).published(key)
    assert facts == {(fact.kind, fact.name): fact for fact in whole}
    (delivered,) = [fact.content for fact in whole if fact.kind == "delivery"]
    assert delivered == '["a.csv","b.csv"]'


async def test_a_rebuild_that_was_cut_off_anywhere_goes_on_where_rows_are_missing(
    told: Told,
) -> None:
    before = await both(told.bq)
    history = history_of(await told.read())
    lacking = BigQueryProjections(told.bq, history)
    by_run: dict[object, list[object]] = {}
    for row in before[1]:
        by_run.setdefault(row["run_id"], []).append(row["expectation"])
    left = [run for run in by_run if PIPELINE.run(str(run)) not in history.ledger.runs]
    assert len(left) > 1
    for run in left:
        for some in ("", " AND expectation = 'rule0'"):
            await told.query(f"DELETE FROM metadata.dq_results WHERE run_id = '{run}'{some}")
            assert await lacking._forgotten_behind() == [PIPELINE.run(str(run))]
            await lacking._rebuild(Pauses(sleep=asyncio.sleep))
            assert await both(told.bq) == before


async def test_a_start_asks_the_tables_about_the_runs_that_it_has(told: Told) -> None:
    history = history_of(await told.read())
    kept = set(history.ledger.runs)
    projections = BigQueryProjections(told.bq, history)
    for table in (PIPELINE_RUNS, DQ_RESULTS):
        found = await told.rows(f"SELECT DISTINCT run_id FROM metadata.{table.name}")
        assert not {PIPELINE.run(str(row["run_id"])) for row in found} <= kept
        asked = await projections._written(table)
        assert asked
        assert asked.keys() <= kept
