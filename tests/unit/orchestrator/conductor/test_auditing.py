"""The audit believes no worker: what BigQuery holds is counted, on both ways into a table."""

import pytest

from services.orchestrator.runs import records as r
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import OpenAiOptions, PipelineSpec, WindowSpec
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",))]
TWO = [Item(scope="b.csv", money=("7",))]
DIRECT = spec(mode="append", on_failure="fail")


def lose_a_row(made: World) -> None:
    """Let one stream hold a row less than its worker says."""
    plain = made.workers[0].warehouse.streams

    class Losing(dict):  # type: ignore[type-arg]
        def __setitem__(self, name: str, rows: list[object]) -> None:
            super().__setitem__(name, rows[1:] if len(rows) > 1 else rows)

    made.warehouse.streams = Losing(plain)
    for worker in made.workers:
        worker.warehouse = made.warehouse


@pytest.mark.parametrize(
    "wanted", [spec(), spec(mode="append"), DIRECT], ids=["replace", "append", "direct"]
)
async def test_a_worker_that_says_more_than_it_wrote_fails_the_run(wanted: PipelineSpec) -> None:
    made = World.of(a_csv=ONE, b_csv=TWO)
    lose_a_row(made)
    async with made.orchestrator() as o:
        run = await o.finish(wanted)
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.reason == "AUDIT_MISMATCH"
    assert run.failure.metadata["chunk"].startswith("a.csv@")
    assert run.failure.kind == "platform"
    assert made.published(wanted) == []


async def test_streams_of_a_direct_append_that_ended_are_read_again_before_it_publishes() -> None:
    made = World.of(a_csv=ONE, b_csv=TWO)
    made.warehouse.fail["stream_counts"] = 1_000_000
    async with made.orchestrator() as o:
        run = await o.start(DIRECT)
        now = await o.until(run, RunState.AUDITING)
        gone = now.landed["a.csv@" + made.source.hash_of("a.csv")].stream
        made.warehouse.gone.add(gone)
        made.warehouse.fail.clear()
        done = await o.until(run, RunState.SUCCEEDED)
    assert done.reread
    assert done.publishing is not None
    assert gone not in done.publishing.streams
    assert len(made.published(DIRECT)) == 3


@pytest.mark.parametrize("wanted", [spec(), DIRECT], ids=["staged", "direct"])
async def test_quarantine_whose_stream_ended_is_lost_and_read_again(wanted: PipelineSpec) -> None:
    made = World.of(a_csv=[*ONE, Item(scope="a.csv", money=("0",), bad=True)], b_csv=TWO)
    made.warehouse.fail["commit_quarantine"] = 1_000_000
    async with made.orchestrator() as o:
        run = await o.start(wanted)
        now = await o.until(run, RunState.AUDITING)
        gone = now.landed["a.csv@" + made.source.hash_of("a.csv")].quarantine_stream
        made.warehouse.gone.add(gone)
        made.warehouse.fail.clear()
        done = await o.until(run, RunState.HELD, RunState.SUCCEEDED, RunState.FAILED)
    lost = [x.detail for x in made.journals.records if isinstance(x.detail, r.ChunksLost)]
    assert [len(one.chunk_ids) for one in lost] == [1]
    assert done.reread
    assert made.quarantined() == [(run.name.run, "a.csv")]


DAY, NEXT = "2026-11-19", "2026-11-20"


def reports() -> PipelineSpec:
    """A pipeline that reads two days of usage and costs."""
    plain = spec()
    options = OpenAiOptions(reports=("usage/completions", "costs"))
    return plain.model_copy(
        update={
            "source": plain.source.model_copy(update={"options": options}),
            "window": WindowSpec(lookback_days=2),
            "write": plain.write.model_copy(update={"scope": ("usage_date",)}),
        }
    )


def two_days(made: World) -> None:
    made.source.inputs = {
        name: [Item(scope=DAY, money=("1",)), Item(scope=NEXT, money=(money,))]
        for name, money in (("usage", "2"), ("costs", "3"))
    }


@pytest.mark.parametrize("silent", ["usage", "costs"])
async def test_a_day_that_one_report_calls_empty_and_another_leaves_out_is_held(
    silent: str,
) -> None:
    made = World()
    two_days(made)
    async with made.orchestrator() as o:
        await o.finish(reports())
        made.source.inputs = {"usage": [], "costs": [Item(scope=NEXT, money=("4",))] * 2}
        made.source.empty = {"usage": (DAY, NEXT), "costs": (DAY,)}
        del made.source.empty[silent]
        second = await o.finish(reports())
    assert second.state is RunState.HELD
    assert second.held is not None
    assert second.held.reasons == (f"{DAY}: had 2 rows, has none now",)
    assert len(made.published(reports())) == 4


async def test_a_day_that_every_report_calls_empty_is_emptied() -> None:
    made = World()
    two_days(made)
    async with made.orchestrator() as o:
        await o.finish(reports())
        made.source.inputs = {"usage": [], "costs": [Item(scope=NEXT, money=("4",))] * 2}
        made.source.empty = {"usage": (DAY, NEXT), "costs": (DAY,)}
        second = await o.finish(reports())
    assert second.state is RunState.SUCCEEDED
    assert made.published(reports()) == [(NEXT, "4"), (NEXT, "4")]
