"""PipelineService over a socket: each RPC's success, each documented failure, and nothing changed."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from convergence.orchestrator.v1 import pipeline_pb2
from convergence.orchestrator.v1 import pipeline_service_pb2 as pb

from libs.common.errors import (
    FailedPrecondition,
    InvalidRequest,
    QuotaExceeded,
    ServiceError,
    Unavailable,
)
from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.specs import ScheduleSpec, WindowSpec, WriteSpec
from services.orchestrator.workers.memory_workers import Item
from tests.integration.orchestrator.serving import (
    PIPELINE,
    Edge,
    catalogue_of,
    edge_over,
    stamp,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import NOON, World, spec

ONE = [Item(scope="a.csv", money=("1.5",))]
TENANT = "tenants/acme_corp"
DAILY = spec(transforms=2).model_copy(
    update={
        "pipeline": "p_daily",
        "window": WindowSpec(lookback_days=2),
        "write": WriteSpec(mode="replace", scope=("usage_date",)),
        "schedule": ScheduleSpec(cron="0 6 * * *"),
    }
)
APPEND = spec(mode="append", on_failure="fail").model_copy(update={"pipeline": "p_append"})
MERGE = spec(mode="merge").model_copy(update={"pipeline": "p_merge"})
BROKEN = FileError(
    file="acme_corp/pipelines/p_broken.yml", line=3, field="target.tabel", found="tabel",
    allowed="dataset, table", advice="did you mean table?",
)  # fmt: skip


@pytest.fixture
def world() -> World:
    return World.of(a_csv=ONE)


@pytest.fixture
def files() -> MemoryCatalogue:
    made = catalogue_of(
        spec(), DAILY, APPEND, MERGE, spec().model_copy(update={"tenant": "widgetsinc"})
    )
    made.put_broken("acme_corp", "p_broken", BROKEN, at=NOON)
    return made


@pytest.fixture
async def edge(world: World, files: MemoryCatalogue, tmp_path: Path) -> AsyncGenerator[Edge]:
    async with edge_over(world, tmp_path, catalogue=files) as running:
        yield running
        changing = set(world.warehouse.calls) - {"check", "published_by_scope"}
        ran = any(x.detail.type == "run.created" for x in world.journals.records)
        assert ran or not changing


async def validate(edge: Edge, pipeline: str) -> Any:
    request = pb.ValidatePipelineRequest(name=f"{TENANT}/pipelines/{pipeline}")
    return await edge.ask("ValidatePipeline", request)


async def plan(edge: Edge, pipeline: str = "p_bill", **fields: Any) -> Any:
    request = pb.PlanRunRequest(parent=f"{TENANT}/pipelines/{pipeline}", **fields)
    return await edge.ask("PlanRun", request)


async def test_a_pipeline_is_shown_as_its_files_stand(edge: Edge) -> None:
    request = pb.GetPipelineRequest(name=f"{TENANT}/pipelines/p_daily")
    pipeline = (await edge.ask("GetPipeline", request)).pipeline
    assert pipeline.name == f"{TENANT}/pipelines/p_daily"
    assert (pipeline.source, pipeline.source_kind) == ("bill", "file")
    assert pipeline.target_table == "acme_corp_raw_bill.bills"
    assert pipeline.write_mode == pipeline_pb2.WRITE_MODE_REPLACE
    assert list(pipeline.scope_columns) == ["usage_date"]
    assert list(pipeline.transforms) == ["t0", "t1"]
    assert pipeline.window_grain == "day"
    assert pipeline.spec_hash == DAILY.spec_hash
    assert pipeline.load_time.ToDatetime(tzinfo=UTC) == NOON
    assert not pipeline.errors


async def test_a_broken_edit_shows_its_errors_beside_the_last_good_version(
    edge: Edge, files: MemoryCatalogue
) -> None:
    files.put_broken("acme_corp", "p_bill", BROKEN, at=NOON + timedelta(hours=1))
    answer = await edge.ask("GetPipeline", pb.GetPipelineRequest(name=PIPELINE))
    (error,) = answer.pipeline.errors
    assert (error.file, error.line, error.field, error.found, error.allowed, error.advice) == (
        BROKEN.file, 3, BROKEN.field, BROKEN.found, BROKEN.allowed, BROKEN.advice,
    )  # fmt: skip
    assert answer.pipeline.spec_hash == spec().spec_hash
    assert answer.pipeline.load_time.ToDatetime(tzinfo=UTC) == NOON


@pytest.mark.parametrize("method", ["GetPipeline", "ValidatePipeline", "PlanRun"])
async def test_a_pipeline_that_is_not_there_is_refused(edge: Edge, method: str) -> None:
    name = f"{TENANT}/pipelines/p_gone"
    asked: Any = getattr(pb, f"{method}Request")()
    setattr(asked, "parent" if method == "PlanRun" else "name", name)
    with refused("NOT_FOUND", "PIPELINE_NOT_FOUND") as refusal:
        await edge.ask(method, asked)
    assert refusal.metadata == {"name": name}


async def test_pipelines_are_listed_by_id_page_by_page_broken_ones_too(edge: Edge) -> None:
    names, token = [], ""
    while True:
        request = pb.ListPipelinesRequest(parent=TENANT, page_size=2, page_token=token)
        answer = await edge.ask("ListPipelines", request)
        names.append([pipeline.name.rpartition("/")[2] for pipeline in answer.pipelines])
        token = answer.next_page_token
        if not token:
            break
    assert names == [["p_append", "p_bill"], ["p_broken", "p_daily"], ["p_merge"]]


async def test_a_tenant_without_files_has_no_pipelines(edge: Edge, files: MemoryCatalogue) -> None:
    for pipeline in files.pipelines("acme_corp"):
        files.remove("acme_corp", pipeline)
    answer = await edge.ask("ListPipelines", pb.ListPipelinesRequest(parent=TENANT))
    assert (list(answer.pipelines), answer.next_page_token) == ([], "")


async def test_a_page_token_of_no_such_list_is_refused(edge: Edge) -> None:
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID") as refusal:
        await edge.ask("ListPipelines", pb.ListPipelinesRequest(parent=TENANT, page_token="x"))
    assert refusal.metadata == {"field": "page_token"}


async def test_a_pipeline_that_could_run_is_valid(edge: Edge) -> None:
    answer = await validate(edge, "p_bill")
    assert list(answer.errors) == []
    assert answer.spec_hash == spec().spec_hash


async def test_what_is_wrong_with_files_comes_back_with_place_and_advice(edge: Edge) -> None:
    answer = await validate(edge, "p_broken")
    (error,) = answer.errors
    assert (error.file, error.line, error.field) == (BROKEN.file, 3, BROKEN.field)
    assert (error.found, error.allowed, error.advice) == (
        BROKEN.found, BROKEN.allowed, BROKEN.advice,
    )  # fmt: skip
    assert answer.spec_hash == ""


WRONG = [
    (
        "judge",
        InvalidRequest(
            {"expectations[3]": "found expect_x; allowed are these"}, reason="SUITE_INVALID"
        ),
        ("acme_corp/suites/None.json", "expectations[3]", "SUITE_INVALID"),
    ),
    (
        "warehouse",
        FailedPrecondition("no label", reason="DATASET_NOT_OWNED", dataset="d", tenant="t"),
        ("acme_corp/pipelines/p_bill.yml", "", "DATASET_NOT_OWNED"),
    ),
    (
        "worker",
        FailedPrecondition("the file may be read by others", reason="SECRET_NOT_PRIVATE"),
        ("acme_corp/sources/bill.yml", "", "SECRET_NOT_PRIVATE"),
    ),
    (
        "worker",
        FailedPrecondition(
            "no column", reason="COLUMN_MISSING", violations={"cost": "is not there"}
        ),
        ("acme_corp/sources/bill.yml", "cost", "COLUMN_MISSING"),
    ),
]


def break_neighbour(world: World, which: str, error: Exception, times: int = 1) -> None:
    """Let a neighbour's next calls fail."""
    if which == "judge":
        world.judge.refusals = [error] * times
    elif which == "warehouse":
        world.warehouse.errors["check"] = [error] * times
    else:
        for worker in world.workers:
            worker.failures = [error] * times


@pytest.mark.parametrize(
    ("which", "error", "place"), WRONG, ids=["suite", "dataset", "secret", "column"]
)
async def test_what_neighbours_find_wrong_comes_back_with_the_file_that_says_it(
    edge: Edge, world: World, which: str, error: Exception, place: tuple[str, str, str]
) -> None:
    break_neighbour(world, which, error)
    answer = await validate(edge, "p_bill")
    (found,) = answer.errors
    file, field, reason = place
    assert (found.file, found.field) == (file, field)
    assert found.found
    assert found.advice.endswith(reason)


async def test_everything_that_is_wrong_comes_back_at_once(edge: Edge, world: World) -> None:
    for which, error, _ in WRONG[:3]:
        break_neighbour(world, which, error)
    answer = await validate(edge, "p_bill")
    assert [error.advice.rpartition(" ")[2] for error in answer.errors] == [
        "SUITE_INVALID", "DATASET_NOT_OWNED", "SECRET_NOT_PRIVATE",
    ]  # fmt: skip


@pytest.mark.parametrize("which", ["judge", "warehouse"])
async def test_nothing_is_said_of_a_pipeline_while_bigquery_is_away(
    edge: Edge, world: World, which: str
) -> None:
    away = Unavailable("BigQuery does not answer", reason="WAREHOUSE_UNAVAILABLE", endpoint="x")
    break_neighbour(world, which, away)
    with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
        await validate(edge, "p_bill")
    assert refusal.metadata == {"endpoint": "x"}


@pytest.mark.parametrize("method", ["ValidatePipeline", "PlanRun"])
@pytest.mark.parametrize("workers", ["none", "away"])
async def test_a_mesh_without_workers_says_so(
    world: World, files: MemoryCatalogue, tmp_path: Path, method: str, workers: str
) -> None:
    if workers == "none":
        world.workers.clear()
    else:
        break_neighbour(world, "worker", Unavailable("failed to connect"))
    async with edge_over(world, tmp_path, catalogue=files) as edge:
        with refused("UNAVAILABLE", "NO_WORKER"):
            await (validate(edge, "p_bill") if method == "ValidatePipeline" else plan(edge))


async def test_another_worker_is_asked_when_one_is_away(edge: Edge, world: World) -> None:
    world.workers[0].failures = [Unavailable("failed to connect")]
    assert (await plan(edge)).chunk_count == 1


async def test_a_plan_says_what_a_replace_would_read_and_write(edge: Edge) -> None:
    answer = await plan(edge)
    assert (answer.chunk_count, list(answer.inputs)) == (1, ["a.csv"])
    (scope,) = answer.scope
    assert (scope.column, list(scope.values)) == ("_source", ["a.csv"])
    assert answer.target_table == "acme_corp_raw_bill.bills"
    assert list(answer.window.deliveries) == ["a.csv"]
    assert not answer.window.HasField("start_time")


async def test_a_plan_of_a_day_has_its_window_and_days(edge: Edge) -> None:
    answer = await plan(edge, "p_daily", window_time=stamp(datetime(2026, 11, 3, 5, tzinfo=UTC)))
    assert answer.window.start_time.ToDatetime(tzinfo=UTC) == datetime(2026, 11, 2, tzinfo=UTC)
    assert answer.window.end_time.ToDatetime(tzinfo=UTC) == datetime(2026, 11, 4, tzinfo=UTC)
    assert list(answer.scope[0].values) == ["2026-11-02", "2026-11-03"]


async def test_a_plan_of_an_append_leaves_out_what_was_published(edge: Edge, world: World) -> None:
    await edge.finish(parent=f"{TENANT}/pipelines/p_append")
    world.source.inputs["b.csv"] = ONE
    answer = await plan(edge, "p_append")
    assert (list(answer.inputs), list(answer.known_inputs)) == (["b.csv"], ["a.csv"])
    assert answer.chunk_count == 1


async def test_a_pipeline_that_cannot_run_has_no_plan(edge: Edge) -> None:
    with refused("FAILED_PRECONDITION", "CONFIG_INVALID") as refusal:
        await plan(edge, "p_broken")
    assert refusal.fields == ["acme_corp/pipelines/p_broken.yml:3 target.tabel"]


async def test_a_plan_of_a_merge_reads_again_what_was_published(edge: Edge) -> None:
    await edge.finish(parent=f"{TENANT}/pipelines/p_merge")
    answer = await plan(edge, "p_merge")
    assert (list(answer.inputs), list(answer.known_inputs)) == (["a.csv"], [])


async def test_a_moment_for_a_pipeline_without_a_window_is_refused(edge: Edge) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await plan(edge, window_time=stamp(NOON))
    assert refusal.fields == ["window_time"]


async def test_a_day_that_has_not_begun_is_refused(edge: Edge) -> None:
    with refused("INVALID_ARGUMENT", "WINDOW_IN_FUTURE") as refusal:
        await plan(edge, "p_daily", window_time=stamp(NOON + timedelta(days=1)))
    assert refusal.metadata == {"windowTime": "2026-11-21", "latest": "2026-11-20"}


PASSED_ON: list[tuple[ServiceError, str]] = [
    *(
        (FailedPrecondition(reason.lower(), reason=reason, source="bill"), "FAILED_PRECONDITION")
        for reason in (
            "SECRET_NOT_FOUND", "SECRET_NOT_PRIVATE", "SOURCE_EMPTY", "SOURCE_MALFORMED",
            "COLUMN_MISSING", "SOURCE_NOT_FOUND", "SOURCE_REFUSED", "SOURCE_UNAUTHENTICATED",
            "SOURCE_FORBIDDEN",
        )
    ),
    (InvalidRequest({"path": "no"}, reason="SOURCE_NOT_ALLOWED", source="bill"), "INVALID_ARGUMENT"),
    *(
        (Unavailable(reason.lower(), reason=reason, source="bill"), "UNAVAILABLE")
        for reason in ("SOURCE_UNAVAILABLE", "SECRET_STORE_UNAVAILABLE", "WORKER_DRAINING")
    ),
    (QuotaExceeded("429", reason="SOURCE_RATE_LIMITED", source="bill"), "RESOURCE_EXHAUSTED"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "code"), PASSED_ON, ids=[error.reason for error, _ in PASSED_ON])
async def test_what_a_worker_says_of_a_source_is_passed_on(
    edge: Edge, world: World, error: ServiceError, code: str
) -> None:
    break_neighbour(world, "worker", error)
    with refused(code, error.reason) as refusal:
        await plan(edge)
    assert refusal.metadata == {"source": "bill"}


async def test_asking_changes_nothing(edge: Edge, world: World) -> None:
    await plan(edge)
    await plan(edge, "p_daily")
    await validate(edge, "p_bill")
    await edge.ask("GetPipeline", pb.GetPipelineRequest(name=PIPELINE))
    await edge.ask("ListPipelines", pb.ListPipelinesRequest(parent=TENANT))
    types = {x.detail.type for x in world.journals.records}
    assert types <= {"epoch.opened", "schedule.set"}
    assert set(world.warehouse.calls) == {"check"}
    assert world.warehouse.tables == {}
