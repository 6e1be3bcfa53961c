"""The lists of RunService over a socket: order, pages, filters, and each documented failure."""

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from convergence.orchestrator.v1 import run_service_pb2 as pb
from google.protobuf.message import Message

from libs.common.errors import Unavailable
from libs.common.paging import make_token
from services.orchestrator.runs import records as r
from services.orchestrator.workers.memory_workers import Item
from tests.integration.orchestrator.serving import (
    NEIGHBOUR,
    PIPELINE,
    Edge,
    catalogue_of,
    edge_over,
    state_of,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import World, spec

ONE = [Item(scope="a.csv", money=("1.5",))]
LOST = [Item(scope="a.csv", money=(text,), bad=True) for text in ("1", "2", "3")]
TENANT = "tenants/acme_corp"


def result(number: int, *, success: bool = True) -> r.Result:
    return r.Result(
        rule_id=f"rule{number}",
        expectation_type="expect_column_values_to_not_be_null",
        column="service",
        kwargs='{"column": "service"}',
        success=success,
        severity="warning",
        element_count=5,
        missing_count=1,
        unexpected_count=2 + number,
        observed_value=None if number else "7",
        samples=("a", "b"),
    )


@pytest.fixture
def world() -> World:
    return World.of(a_csv=ONE)


@pytest.fixture
async def edge(world: World, tmp_path: Path) -> AsyncGenerator[Edge]:
    pipelines = [spec().model_copy(update={"pipeline": f"p_{n}"}) for n in range(5)]
    theirs = spec().model_copy(update={"tenant": "widgetsinc"})
    files = catalogue_of(spec(), theirs, *pipelines)
    async with edge_over(world, tmp_path, catalogue=files) as running:
        yield running


async def all_pages(edge: Edge, method: str, size: int, **fields: Any) -> list[list[Message]]:
    """Return the items of all pages of a list."""
    pages, token = [], ""
    while True:
        asked = getattr(pb, f"{method}Request")(page_size=size, page_token=token, **fields)
        answer = await edge.ask(method, asked)
        (items,) = (
            value for field, value in answer.ListFields() if field.name != "next_page_token"
        )
        pages.append(list(items))
        token = answer.next_page_token
        if not token:
            return pages


async def five_runs(edge: Edge) -> list[str]:
    runs = [await edge.finish(parent=f"{TENANT}/pipelines/p_{n}") for n in range(5)]
    return [run.name for run in reversed(runs)]


@pytest.mark.parametrize(("size", "pages"), [(0, [5]), (2, [2, 2, 1]), (5, [5]), (9999, [5])])
async def test_runs_come_newest_first_page_by_page(edge: Edge, size: int, pages: list[int]) -> None:
    names = await five_runs(edge)
    found: Any = await all_pages(edge, "ListRuns", size, parent=TENANT)
    assert [len(page) for page in found] == pages
    assert [run.name for page in found for run in page] == names


async def test_runs_that_begin_meanwhile_shift_no_page(edge: Edge) -> None:
    names = await five_runs(edge)
    first = await edge.ask("ListRuns", pb.ListRunsRequest(parent=TENANT, page_size=3))
    await edge.finish()
    second = await edge.ask(
        "ListRuns",
        pb.ListRunsRequest(parent=TENANT, page_size=3, page_token=first.next_page_token),
    )
    assert [run.name for run in (*first.runs, *second.runs)] == names


async def test_runs_are_listed_by_pipeline_and_state_and_never_another_tenants(
    edge: Edge, world: World
) -> None:
    done = await edge.finish()
    world.hang()
    live = await edge.create(parent=f"{TENANT}/pipelines/p_0")
    await edge.create(parent="tenants/widgetsinc/pipelines/p_bill", secret=NEIGHBOUR)
    await edge.until(live.name, "INGESTING")

    async def names(**fields: Any) -> list[str]:
        answer = await edge.ask("ListRuns", pb.ListRunsRequest(**fields))
        return [run.name for run in answer.runs]

    assert await names(parent=TENANT) == [live.name, done.name]
    assert await names(parent=PIPELINE) == [done.name]
    assert await names(parent=TENANT, states=["RUN_STATE_INGESTING"]) == [live.name]
    both = ["RUN_STATE_SUCCEEDED", "RUN_STATE_INGESTING"]
    assert await names(parent=TENANT, states=both) == [live.name, done.name]
    assert await names(parent=TENANT, states=["RUN_STATE_HELD"]) == []


@pytest.mark.parametrize("state", [0, 99], ids=["unspecified", "unknown"])
async def test_a_state_that_no_run_can_have_is_refused_by_field(edge: Edge, state: int) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await edge.ask("ListRuns", pb.ListRunsRequest(parent=TENANT, states=[state]))  # type: ignore[list-item]
    assert refusal.fields == ["states"]


async def test_runs_of_a_pipeline_that_is_not_there_are_refused(edge: Edge) -> None:
    with refused("NOT_FOUND", "PIPELINE_NOT_FOUND") as refusal:
        await edge.ask("ListRuns", pb.ListRunsRequest(parent=f"{TENANT}/pipelines/p_gone"))
    assert refusal.metadata == {"name": f"{TENANT}/pipelines/p_gone"}


LISTS = ["ListRuns", "ListRunEvents", "ListRunResults", "ListQuarantinedRows"]


async def parent_of(edge: Edge, method: str) -> str:
    return TENANT if method == "ListRuns" else (await edge.finish()).name


@pytest.mark.parametrize(
    "token",
    ["x", "=", "é", "a" * 10_000, make_token("another list", "1")],
    ids=["word", "sign", "accent", "long", "of another list"],
)
@pytest.mark.parametrize("method", LISTS)
async def test_a_page_token_of_no_such_list_is_refused(edge: Edge, method: str, token: str) -> None:
    parent = await parent_of(edge, method)
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID") as refusal:
        await edge.ask(method, getattr(pb, f"{method}Request")(parent=parent, page_token=token))
    assert refusal.metadata == {"field": "page_token"}


@pytest.mark.parametrize("position", ["9" * 5000, "²", "-1"], ids=["endless", "square", "negative"])
async def test_a_forged_page_token_is_refused(edge: Edge, position: str) -> None:
    token = make_token(f"runs:{TENANT}:", position)
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await edge.ask("ListRuns", pb.ListRunsRequest(parent=TENANT, page_token=token))


@pytest.mark.parametrize("method", LISTS)
async def test_a_negative_page_size_is_refused_by_field(edge: Edge, method: str) -> None:
    parent = await parent_of(edge, method)
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await edge.ask(method, getattr(pb, f"{method}Request")(parent=parent, page_size=-1))
    assert refusal.fields == ["page_size"]


@pytest.mark.parametrize("method", LISTS[1:])
async def test_lists_of_a_run_that_is_not_there_are_refused(edge: Edge, method: str) -> None:
    name = f"{PIPELINE}/runs/r_gone"
    with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
        await edge.ask(method, getattr(pb, f"{method}Request")(parent=name))
    assert refusal.metadata == {"name": name}


async def test_the_history_of_a_run_is_told_in_sentences_oldest_first(edge: Edge) -> None:
    run = await edge.finish()
    found: Any = await all_pages(edge, "ListRunEvents", 3, parent=run.name)
    events = [event for page in found for event in page]
    assert [event.event_type for event in events] == [
        "run.created", "run.planning", "run.planned", "chunk.completed", "run.ingested",
        "run.audited", "run.publishing", "run.published", "run.succeeded",
    ]  # fmt: skip
    assert [state_of(event)[:4] for event in events] == [
        "PEND", "PLAN", "INGE", "INGE", "AUDI", "AUDI", "PUBL", "TRAN", "SUCC",
    ]  # fmt: skip
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    assert positions[-1] == run.position
    assert events[3].chunk_id.startswith("a.csv@")
    assert re.search("1 rows read, 1 landed, 0 quarantined by worker w", events[3].summary)
    assert {event.epoch for event in events} == {1}
    assert all(event.summary for event in events)


async def test_what_each_expectation_said_is_listed_in_the_suites_order(
    edge: Edge, world: World
) -> None:
    world.judge.results = (result(0), result(1), result(2))
    run = await edge.finish()
    found: Any = await all_pages(edge, "ListRunResults", 2, parent=run.name)
    results = [one for page in found for one in page]
    assert [one.rule_id for one in results] == ["rule0", "rule1", "rule2"]
    first, second = results[:2]
    assert (first.observed_value, first.unexpected_count, first.attempt) == ("7", 2, 1)
    assert not second.HasField("observed_value")
    assert (second.element_count, second.missing_count, second.severity) == (5, 1, "warning")
    assert list(second.unexpected_samples) == ["a", "b"]


async def test_a_run_that_was_not_judged_has_no_results(edge: Edge) -> None:
    run = await edge.finish()
    answer = await edge.ask("ListRunResults", pb.ListRunResultsRequest(parent=run.name))
    assert not answer.results


async def test_rows_that_were_not_published_are_listed_page_by_page(
    edge: Edge, world: World
) -> None:
    world.source.inputs["a.csv"] = [*ONE, *LOST]
    run = await edge.finish()
    assert state_of(run) == "HELD"
    found: Any = await all_pages(edge, "ListQuarantinedRows", 2, parent=run.name)
    assert [len(page) for page in found] == [2, 1]
    rows = [(row.source, row.row_number) for page in found for row in page]
    assert rows == [("a.csv", 1), ("a.csv", 2), ("a.csv", 3)]


async def test_a_warehouse_that_is_away_is_named(edge: Edge, world: World) -> None:
    run = await edge.finish()
    world.warehouse.errors["quarantined"] = [
        Unavailable("BigQuery does not answer", reason="WAREHOUSE_UNAVAILABLE", endpoint="x")
    ]
    request = pb.ListQuarantinedRowsRequest(parent=run.name)
    with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
        await edge.ask("ListQuarantinedRows", request)
    assert refusal.metadata == {"endpoint": "x"}
    assert refusal.retry_after > 0
    assert not (await edge.ask("ListQuarantinedRows", request)).rows
