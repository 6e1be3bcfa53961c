"""What projections keep: the newest state of every run, rebuilt from the journal whatever was lost."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.common.errors import ServiceError
from libs.metadata.tables import PIPELINE_RUNS
from services.auth.bigquery_keys import BigQueryKeyStore
from services.auth.bigquery_metadata import BigQueryMetadata
from services.auth.initialisation import initialise
from services.auth.signing_keys import MemorySigningKeyStore
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournal
from services.orchestrator.projections.bigquery_projections import BigQueryProjections
from services.orchestrator.projections.bigquery_published import BigQueryPublished
from services.orchestrator.projections.rows import run_row
from services.orchestrator.projections.statements import batches, entry
from services.orchestrator.runs import records as r
from services.orchestrator.runs.facts import forgettable
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.support.engine import Engine
from tests.support.metadata_tables import emptied
from tests.unit.orchestrator.conductor.world import World, spec

ONE = [Item(scope="a.csv", money=("1.5",))]
LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
QUOTED = 'Söhne\'s "9" \\ \n🙂'


def result(number: int) -> r.Result:
    return r.Result(
        rule_id=f"rule{number}",
        expectation_type="expect_column_values_to_be_in_set",
        column="service",
        kwargs=json.dumps({"value_set": [QUOTED]}),
        success=number == 0,
        severity="warning",
        element_count=3,
        missing_count=1,
        unexpected_count=number,
        observed_value=QUOTED if number else None,
    )


@pytest.fixture
def bigquery(engine: Engine) -> Iterator[BigQuery]:
    with emptied(engine) as bq:
        yield bq


async def rows(bigquery: BigQuery, sql: str) -> list[dict[str, object]]:
    return await asyncio.to_thread(jobs.query, bigquery, sql)


async def states(bigquery: BigQuery) -> dict[str, str]:
    found = await rows(bigquery, "SELECT run_id, state FROM metadata.pipeline_runs")
    return {str(row["run_id"]): str(row["state"]) for row in found}


async def history_of(made: World) -> History:
    """Return the history as the next orchestrator reads it."""
    history = History(MemoryJournal(), epoch=9, clock=made.clock, new_id=lambda: "x")
    history.load(list(made.journals.records))
    return history


async def finished(made: World, **fields: Any) -> Run:
    async with made.orchestrator() as o:
        return await o.finish(spec(**fields))


async def test_a_run_is_one_row_with_all_that_people_ask_for(bigquery: BigQuery) -> None:
    made = World.of(a_csv=[*ONE, Item(scope="a.csv", money=("0",), bad=True)])
    run = await finished(made)
    await BigQueryProjections(bigquery, await history_of(made)).write([run])
    (row,) = await rows(bigquery, "SELECT * FROM metadata.pipeline_runs")
    assert (row["run_name"], row["tenant_id"], row["pipeline_id"], row["run_id"]) == (
        str(run.name), "acme_corp", "p_bill", run.name.run,
    )  # fmt: skip
    assert (row["state"], row["attempt"], row["position"]) == ("SUCCEEDED", 1, run.position)
    assert (row["rows_read"], row["rows_landed"], row["rows_quarantined"]) == (2, 1, 1)
    assert (row["delivery"], row["window_start"], row["failure_reason"]) == ("a.csv", None, None)
    receipt = json.loads(str(row["receipt"]))
    assert receipt["money"][0]["landed"] == "1.5"


async def test_a_failed_run_says_why_in_any_words(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        run = await o.finish()
    failure = r.Failure(kind="data", reason="QUALITY_FAILED", message=QUOTED, advice="")
    failed = dataclasses.replace(run, state=RunState.FAILED, failure=failure)
    await BigQueryProjections(bigquery, await history_of(made)).write([failed])
    (row,) = await rows(bigquery, "SELECT * FROM metadata.pipeline_runs")
    assert (row["failure_kind"], row["failure_reason"], row["failure_message"]) == (
        "data", "QUALITY_FAILED", QUOTED,
    )  # fmt: skip


async def test_what_each_expectation_said_is_a_row_an_attempt(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    made.judge.results = (result(0), result(1))
    run = await finished(made, on_failure="warn")
    projections = BigQueryProjections(bigquery, await history_of(made))
    for _ in range(2):
        await projections.write([run])
    fresh = BigQueryProjections(bigquery, await history_of(made))
    await fresh.write([run])
    found = await rows(bigquery, "SELECT * FROM metadata.dq_results ORDER BY expectation")
    assert [(row["expectation"], row["success"], row["attempt"]) for row in found] == [
        ("rule0", True, 1), ("rule1", False, 1),
    ]  # fmt: skip
    assert [row["observed_value"] for row in found] == [None, QUOTED]
    assert json.loads(str(found[1]["kwargs"])) == {"value_set": [QUOTED]}


async def test_a_run_that_is_retried_after_its_audit_has_its_results_once(
    bigquery: BigQuery,
) -> None:
    made = World.of(a_csv=ONE)
    made.judge.results = (result(0),)
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        failed = await o.finish(spec(transforms=1))
        assert failed.state is RunState.TRANSFORM_FAILED
        made.warehouse.broken_transforms.clear()
        await o.retry(failed)
        done = await o.until(failed, RunState.SUCCEEDED)
    assert done.attempt == 2
    for run in (failed, done):
        await BigQueryProjections(bigquery, await history_of(made)).write([run])
    found = await rows(bigquery, "SELECT expectation, attempt FROM metadata.dq_results")
    assert found == [{"expectation": "rule0", "attempt": 1}]


async def test_a_row_that_bigquery_refuses_is_left_out_and_stops_no_other(
    bigquery: BigQuery,
) -> None:
    made = World.of(a_csv=ONE)
    runs = [await finished(made) for _ in range(3)]
    odd = dataclasses.replace(runs[1], attempt=2**70)
    with capture_logs() as logged:
        await BigQueryProjections(bigquery, await history_of(made)).write([runs[0], odd, runs[2]])
    assert await states(bigquery) == {run.name.run: "SUCCEEDED" for run in (runs[0], runs[2])}
    (line,) = [entry for entry in logged if entry["event"] == "projection.refused"]
    assert (line["table"], line["row"]) == ("pipeline_runs", [str(odd.name)])


def odd_run(run: Run, table: str) -> Run:
    """Return a run of which BigQuery refuses the row of a table."""
    if table == "pipeline_runs":
        return dataclasses.replace(run, attempt=2**70)
    return dataclasses.replace(run, snapshot=2**70)


def refusing(history: History, table: str) -> None:
    """Have BigQuery refuse a row of the second run."""
    name = list(history.ledger.runs)[1]
    if table != "dq_results":
        history.ledger.runs[name] = odd_run(history.ledger.runs[name], table)
        return
    records = history.ledger.history[name]
    for n, x in enumerate(records):
        if isinstance(x.detail, r.RunAudited):
            odd = x.detail.results[0].model_copy(update={"element_count": 2**70})
            detail = x.detail.model_copy(update={"results": (odd,)})
            records[n] = x.model_copy(update={"detail": detail})


@pytest.mark.parametrize("table", ["pipeline_runs", "dq_results", "published"])
async def test_a_run_of_which_a_row_is_refused_stays_until_it_is_written(
    bigquery: BigQuery, table: str
) -> None:
    """Its runs would be gone from the ledger and from the tables, and what it published with them."""
    made = World.of(a_csv=ONE)
    made.judge.results = (result(0),)
    runs = []
    for n in range(3):
        made.source.inputs = {f"{n}.csv": [Item(scope=f"{n}.csv", money=(f"{n}",))]}
        runs.append(await finished(made))
    history = await history_of(made)
    whole = history.ledger.runs[runs[1].name], list(history.ledger.history[runs[1].name])
    refusing(history, table)
    counts: list[int] = []
    projections = BigQueryProjections(
        bigquery, history, observe_refused=counts.append, again_seconds=0.1
    )
    follower = asyncio.create_task(projections.follow(lambda _: asyncio.sleep(0.01)))
    try:
        async with asyncio.timeout(20):
            while not all(map(projections.written, (runs[0], runs[2]))):
                await asyncio.sleep(0.02)
            left = forgettable(history.ledger, ended_before=LATE, written=projections.written)
            assert [run.name for run in left] == [runs[0].name]
            assert counts[-1] == 1
            assert (runs[1].name.run in await states(bigquery)) == (table == "dq_results")
            history.ledger.runs[runs[1].name], history.ledger.history[runs[1].name] = whole
            while not projections.written(runs[1]):
                await asyncio.sleep(0.02)
        assert counts[-1] == 0
        assert await states(bigquery) == {run.name.run: "SUCCEEDED" for run in runs}
        left = forgettable(history.ledger, ended_before=LATE, written=projections.written)
        assert len(left) == 3
    finally:
        assert not follower.done()
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)


async def test_with_what_the_newest_run_says_of_a_delivery_that_of_the_older_is_refused(
    bigquery: BigQuery,
) -> None:
    made = World.of(a_csv=ONE)
    made.source.deliveries = {"2026-11": ("a.csv",)}
    older = await finished(made, mode="append")
    made.source.inputs = {"b.csv": [Item(scope="b.csv", money=("2",))]}
    made.source.deliveries = {"2026-11": ("b.csv",)}
    newer = await finished(made, mode="append")
    history = await history_of(made)
    published = BigQueryPublished(bigquery, history)
    history.ledger.runs[newer.name] = odd_run(newer, "published")
    assert await published.write([older, odd_run(newer, "published")]) == {older.name, newer.name}
    history.ledger.runs[newer.name] = newer
    assert await published.write([older, newer]) == set()
    found = await rows(
        bigquery, "SELECT content_hash FROM metadata.published WHERE kind = 'delivery'"
    )
    assert found == [{"content_hash": '["a.csv","b.csv"]'}]


async def test_rows_are_written_in_statements_that_bigquery_takes(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    long = r.Failure(kind="data", reason="QUALITY_FAILED", message="é" * 200_000, advice="")
    runs = [
        dataclasses.replace(await finished(made), state=RunState.FAILED, failure=long)
        for _ in range(3)
    ]
    selects = [entry(run_row(run), PIPELINE_RUNS) for run in runs]
    assert [len(part) for part in batches(selects)] == [2, 1]
    assert [len(part) for part in batches(["x"] * 401)] == [200, 200, 1]
    assert [len(part) for part in batches(["é" * 100_000] * 8)] == [4, 4]
    assert batches(["x" * 2_000_000]) == [["x" * 2_000_000]]
    assert batches([]) == []
    await BigQueryProjections(bigquery, await history_of(made)).write(runs)
    assert await states(bigquery) == {run.name.run: "FAILED" for run in runs}


async def test_a_late_write_of_an_older_state_changes_nothing(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    run = await finished(made)
    older = dataclasses.replace(run, state=RunState.INGESTING, position=run.position - 3)
    projections = BigQueryProjections(bigquery, await history_of(made))
    for one in (older, run, older):
        await projections.write([one])
    assert await states(bigquery) == {run.name.run: "SUCCEEDED"}


async def test_a_run_may_be_published_while_an_older_state_of_it_is_written(
    bigquery: BigQuery,
) -> None:
    made = World.of(a_csv=ONE)
    run = await finished(made)
    audited = dataclasses.replace(run, state=RunState.AUDITING, publishing=None)
    projections = BigQueryProjections(bigquery, await history_of(made))
    await projections.write([audited])
    assert await states(bigquery) == {run.name.run: "AUDITING"}
    told = "SELECT DISTINCT run_id FROM metadata.published"
    assert await rows(bigquery, told) == [{"run_id": run.name.run}]


@contextlib.asynccontextmanager
async def following(projections: BigQueryProjections) -> AsyncGenerator[None]:
    """Follow the journal in the block. What ends the following before the block ends is raised."""
    follower = asyncio.create_task(projections.follow(asyncio.sleep))
    try:
        yield
    finally:
        if not follower.cancel():
            follower.result()
        await asyncio.gather(follower, return_exceptions=True)


async def followed(bigquery: BigQuery, history: History, wanted: dict[str, str]) -> None:
    """Follow until the table holds what is wanted."""
    async with following(BigQueryProjections(bigquery, history)), asyncio.timeout(20):
        while await states(bigquery) != wanted:
            await asyncio.sleep(0.05)


async def test_what_was_not_written_before_a_kill_is_written_after_it(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    runs = [await finished(made) for _ in range(3)]
    await BigQueryProjections(bigquery, await history_of(made)).write(runs[2:])
    wanted = {run.name.run: "SUCCEEDED" for run in runs}
    await followed(bigquery, await history_of(made), wanted)


async def test_tables_that_were_emptied_are_rebuilt(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    made.judge.results = (result(0),)
    run = await finished(made)
    for _ in range(2):
        await followed(bigquery, await history_of(made), {run.name.run: "SUCCEEDED"})
        results = "SELECT COUNT(*) AS n FROM metadata.dq_results"
        assert (await rows(bigquery, results))[0]["n"] == 1
        for table in ("pipeline_runs", "dq_results"):
            await rows(bigquery, f"DELETE FROM metadata.{table} WHERE TRUE")


async def test_changes_are_followed_while_they_happen(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        history = o.conductor.mesh.history
        projections = BigQueryProjections(bigquery, history)
        follower = asyncio.create_task(projections.follow(asyncio.sleep))
        run = await o.finish()
        async with asyncio.timeout(20):
            while await states(bigquery) != {run.name.run: "SUCCEEDED"}:
                await asyncio.sleep(0.05)
        assert not follower.done()
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)


async def test_changes_during_a_write_are_gathered_before_the_next(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    run = await finished(made)
    history = await history_of(made)
    done, order = asyncio.Event(), list[str]()

    class Busy(BigQueryProjections):
        async def write(self, runs: Sequence[Run]) -> None:
            order.append("write")
            if order.count("write") == 4:
                done.set()
            for watch in history._watches:
                watch.runs[run.name] = None
                watch.changed.set()

    async def sleep(seconds: float) -> None:
        order.append("gather")
        await asyncio.sleep(0)

    follower = asyncio.create_task(Busy(bigquery, history).follow(sleep))
    async with asyncio.timeout(20):
        await done.wait()
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    assert order[:7] == ["write", "gather", "write", "gather", "write", "gather", "write"]


async def test_chunks_alone_are_written_now_and_then_and_states_at_once(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    done = await finished(made)
    history = await history_of(made)
    written = list[tuple[RunState, int]]()

    class Noting(BigQueryProjections):
        async def write(self, runs: Sequence[Run]) -> None:
            written.extend((run.state, run.attempt) for run in runs)

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    def after(seconds: float, state: RunState, **changes: int) -> Run:
        time = done.update_time + dt.timedelta(seconds=seconds)
        return dataclasses.replace(done, state=state, update_time=time, **changes)  # type: ignore[arg-type]

    async def change(run: Run) -> list[tuple[RunState, int]]:
        history.ledger.runs[run.name] = run
        (watch,) = history._watches
        watch.runs[run.name] = None
        watch.changed.set()
        for _ in range(10):
            await asyncio.sleep(0)
        return [written.pop() for _ in range(len(written))]

    noting = Noting(bigquery, history)
    follower = asyncio.create_task(noting.follow(sleep))
    async with asyncio.timeout(20):
        while not noting.written(done):
            noting._positions[done.name] = done.position
            await asyncio.sleep(0.01)
    written.clear()
    ingesting = RunState.INGESTING
    assert await change(after(0, ingesting)) == [(ingesting, 1)]
    assert await change(after(1, ingesting)) == []
    assert await change(after(29, ingesting)) == []
    assert await change(after(30, ingesting)) == [(ingesting, 1)]
    assert await change(after(31, ingesting)) == []
    assert await change(after(31, ingesting, attempt=2)) == [(ingesting, 2)]
    assert await change(after(32, RunState.AUDITING, attempt=2)) == [(RunState.AUDITING, 2)]
    audited = after(32, RunState.AUDITING, attempt=2, audit_position=done.audit_position + 1)
    assert await change(audited) == [(RunState.AUDITING, 2)]
    for _ in range(2):
        assert await change(after(33, RunState.HELD, attempt=2)) == [(RunState.HELD, 2)]
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)


async def test_a_kill_between_the_two_tables_loses_no_result(bigquery: BigQuery) -> None:
    made = World.of(a_csv=ONE)
    made.judge.results = (result(0),)
    run = await finished(made)
    bigquery.rest.delete_table("local.metadata.pipeline_runs")
    with pytest.raises(ServiceError):
        await BigQueryProjections(bigquery, await history_of(made)).write([run])
    found = await rows(bigquery, "SELECT expectation FROM metadata.dq_results")
    assert [row["expectation"] for row in found] == ["rule0"]


async def both(bigquery: BigQuery) -> list[list[dict[str, object]]]:
    """All rows of both tables."""
    return [
        await rows(bigquery, "SELECT * FROM metadata.pipeline_runs ORDER BY run_name"),
        await rows(
            bigquery, "SELECT * FROM metadata.dq_results ORDER BY run_id, attempt, expectation"
        ),
    ]


async def written(
    bigquery: BigQuery, history: History, wanted: list[list[dict[str, object]]]
) -> None:
    """Follow a journal until both tables hold what is wanted."""
    async with following(BigQueryProjections(bigquery, history)), asyncio.timeout(20):
        while await both(bigquery) != wanted:
            await asyncio.sleep(0.05)


async def story(bigquery: BigQuery) -> World:
    """Runs of every kind of end, written while they go on: one was judged in two attempts."""
    made = World.of(a_csv=ONE)
    made.judge.results = (result(0), result(1))
    async with made.orchestrator() as o:
        projections = BigQueryProjections(bigquery, o.conductor.mesh.history)
        failed = await o.finish(spec(on_failure="fail"))
        await projections.write([failed])
        made.judge.results = (result(0),)
        await o.retry(failed)
        done = await o.until(failed, RunState.SUCCEEDED)
        held = await o.finish(spec(on_failure="fail"))
        made.source.inputs["a.csv"] = [*ONE, Item(scope="a.csv", money=("9",), bad=True)]
        discarded = await o.finish()
        await o.commands.discard(discarded.name, by="k", reason="")
        cancelled = await o.until(discarded, RunState.CANCELLED)
        await projections.write([done, held, cancelled])
    return made


@pytest.mark.parametrize(
    "dropped", [("pipeline_runs", "dq_results"), ("dq_results",), ("pipeline_runs",)], ids=", ".join
)
async def test_tables_that_were_dropped_and_made_anew_hold_the_same_rows_again(
    bigquery: BigQuery, dropped: tuple[str, ...]
) -> None:
    made = await story(bigquery)
    before = await both(bigquery)
    assert [(row["attempt"], row["expectation"]) for row in before[1]][:3] == [
        (1, "rule0"), (1, "rule1"), (2, "rule0"),
    ]  # fmt: skip
    for table in dropped:
        bigquery.rest.delete_table(f"local.metadata.{table}")
    done = await initialise(
        BigQueryMetadata(bigquery),
        BigQueryKeyStore(bigquery),
        MemorySigningKeyStore(),
        now=lambda: dt.datetime.now(dt.UTC),
    )
    assert set(done.tables_created) == {f"metadata.{table}" for table in dropped}
    await written(bigquery, await history_of(made), before)


async def test_a_start_writes_nothing_of_runs_whose_rows_are_there(bigquery: BigQuery) -> None:
    made = await story(bigquery)
    history = await history_of(made)
    await BigQueryPublished(bigquery, history).declare_whole()
    assert await BigQueryProjections(bigquery, history)._behind() == []
