"""`append` asked twice for the same inputs, under a suite that no empty table fulfils."""

import pytest

from services.orchestrator.runs import records as r
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import World, spec

ROW_COUNT = r.Result(
    rule_id="rows",
    expectation_type="expect_table_row_count_to_be_between",
    success=False,
    severity="critical",
    column="",
    element_count=0,
    missing_count=0,
    kwargs='{"min_value": 1}',
)


@pytest.mark.parametrize("on_failure", ["hold", "fail"])
async def test_a_run_that_finds_nothing_new_succeeds_whatever_the_suite_says_of_no_rows(
    on_failure: str,
) -> None:
    made, append = World(), spec(mode="append", on_failure=on_failure)
    made.source.inputs["a.csv"] = [Item(scope="a.csv", money=("1.5",))]
    async with made.orchestrator() as o:
        assert (await o.finish(append)).state is RunState.SUCCEEDED
        made.judge.results = (ROW_COUNT,)
        again = await o.finish(append)
    assert again.state is RunState.SUCCEEDED
    assert made.published() == [("a.csv", "1.5")]


async def test_an_empty_source_is_still_judged() -> None:
    made, append = World(), spec(mode="append")
    made.judge.results = (ROW_COUNT,)
    async with made.orchestrator() as o:
        assert (await o.finish(append)).state is RunState.HELD
