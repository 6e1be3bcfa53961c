"""Bad input is refused at the earliest place, by file and field, and changes nothing.

The orchestrator's edge over real files, beside a real auth, a real worker and a real quality service.
"""

import asyncio
import contextlib
import dataclasses
import json
import time
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from convergence.orchestrator.v1 import pipeline_service_pb2 as pb

from libs.common.app import Host, hosted
from libs.common.channel import from_status, open_channel
from services.ingest.app import Settings as IngestSettings
from services.ingest.app import attach_sink
from services.ingest.sink import MemorySink
from services.orchestrator.configs.file_catalogue import FileCatalogue
from services.orchestrator.judges.grpc_judges import GrpcJudge
from services.orchestrator.tokens.grpc_tokens import RunTokens
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.grpc_workers import GrpcWorker
from services.quality.app import Settings as QualitySettings
from services.quality.app import attach_statistics
from services.quality.statistics import MemoryTableStatistics
from tests.integration.auth.serving import CREDENTIAL
from tests.integration.orchestrator.serving import (
    Edge,
    active,
    authenticating,
    orchestrating,
    state_of,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import World

TENANT: Final = "tenants/acme_corp"
EXPECTATION: Final = {
    "type": "expect_column_values_to_not_be_null", "kwargs": {"column": "service"},
    "meta": {}, "severity": "critical",
}  # fmt: skip

FILES: Final = {
    "pipelines/p_bill.yml": (
        "source: bill\nschema: bill\ntarget: {dataset: raw_bill, table: bills}\n"
        "write: {mode: replace, scope: [_source]}\nquality: {suite: bill}\n"
        "transforms:\n  - {sql: cost, target: {dataset: silver, table: costs}, "
        "scope: {_source: x_source}}\n"
    ),
    "pipelines/p_usage.yml": (
        "source: usage\nschema: usage\nwindow: {grain: day}\n"
        "target: {dataset: raw_usage, table: usage}\n"
        "write: {mode: replace, scope: [usage_date]}\n"
    ),
    "sources/bill.yml": 'kind: file\noptions: {path: "bills/*.csv", format: csv}\n',
    "sources/usage.yml": "kind: openai\nsecret: openai\noptions: {reports: [costs]}\n",
    "schemas/bill.json": json.dumps(
        [
            {"name": "service", "type": "STRING", "mode": "REQUIRED"},
            {"name": "cost", "type": "NUMERIC"},
        ]
    ),
    "schemas/usage.json": json.dumps(
        [{"name": "usage_date", "type": "DATE"}, {"name": "cost", "type": "BIGNUMERIC"}]
    ),
    "suites/bill.json": json.dumps({"name": "bill", "expectations": [EXPECTATION]}),
    "transforms/cost.sql": (
        "SELECT _source AS x_source, cost\nFROM acme_corp_raw_bill.bills\n"
        "WHERE _source IN UNNEST(@scope)\n"
    ),
    "bills/a.csv": "service,cost\ncompute,1.5\n",
}


class Asked(FileCatalogue):
    """A catalogue that says when schedules have looked at it: they do so again in a minute.

    Files that come after that are first read by what a test asks for, so none has a last good version.
    """

    def __init__(self, root: Path, *, clock: Callable[[], datetime]) -> None:
        super().__init__(root, clock=clock)
        self.asked = asyncio.Event()

    def tenants(self) -> tuple[str, ...]:
        self.asked.set()
        return super().tenants()


@dataclasses.dataclass(slots=True)
class Bench:
    """An edge, and the files of its tenant."""

    edge: Edge
    home: Path

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def change(self, path: str, old: str, new: str) -> None:
        text = (self.home / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    async def errors(self, pipeline: str) -> list[Any]:
        request = pb.ValidatePipelineRequest(name=f"{TENANT}/pipelines/{pipeline}")
        return list((await self.edge.ask("ValidatePipeline", request)).errors)

    async def plan(self, pipeline: str) -> Any:
        request = pb.PlanRunRequest(parent=f"{TENANT}/pipelines/{pipeline}")
        return await self.edge.ask("PlanRun", request)


@contextlib.asynccontextmanager
async def neighbours(auth: str, root: Path) -> AsyncGenerator[tuple[str, str]]:
    """Run a worker and a quality service; give their addresses."""
    ingest = IngestSettings(auth=auth, configs=root, listen="127.0.0.1:0")
    quality = QualitySettings(auth=auth, listen="127.0.0.1:0")

    def work(host: Host, given: IngestSettings) -> contextlib.AbstractAsyncContextManager[None]:
        return attach_sink(host, given, MemorySink())

    def judge(host: Host, given: QualitySettings) -> contextlib.AbstractAsyncContextManager[None]:
        return attach_statistics(host, given, MemoryTableStatistics({}))

    async with (
        hosted("ingest", ingest, work) as (_, worker),
        hosted("quality", quality, judge) as (_, judging),
    ):
        yield worker, judging


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    root = tmp_path / "configs"
    world = World()
    async with (
        authenticating(tmp_path) as auth,
        neighbours(auth.address, root) as (worker, judging),
        open_channel(worker) as to_worker,
        open_channel(judging) as to_quality,
    ):
        tokens = RunTokens(auth.channel, credential=lambda: CREDENTIAL, clock=time.time)
        seats = [GrpcWorker(worker, to_worker, tokens)]
        catalogue = Asked(root, clock=world.clock)
        async with orchestrating(
            world,
            auth,
            tmp_path,
            catalogue=catalogue,
            dispatcher=Dispatcher(seats, monotonic=time.monotonic, sleep=world.clock.sleep),
            judge=GrpcJudge(to_quality, tokens, location="US"),
        ) as edge:
            await active(edge)
            await catalogue.asked.wait()
            made = Bench(edge, root / "acme_corp")
            for path, text in FILES.items():
                made.write(path, text)
            made.write("secrets/openai.txt", "sk-admin-secret", 0o600)
            yield made
            assert set(world.warehouse.calls) <= {"check", "commit_quarantine"}
            assert world.warehouse.tables == {}


async def test_files_that_are_right_are_valid_and_have_a_plan(bench: Bench) -> None:
    assert await bench.errors("p_bill") == []
    plan = await bench.plan("p_bill")
    assert list(plan.inputs) == ["bills/a.csv"]


WRONG_FILES: Final = [
    ("pipelines/p_bill.yml", "quality: {suite: bill}", "qualty: {suite: bill}", "pipelines/p_bill.yml", 5, "qualty"),
    ("pipelines/p_bill.yml", "source: bill", "source: 5", "pipelines/p_bill.yml", 1, "source"),
    ("pipelines/p_bill.yml", "source: bill", "source: bil", "pipelines/p_bill.yml", 1, "source"),
    ("pipelines/p_bill.yml", "schema: bill", "schema: bil", "pipelines/p_bill.yml", 2, "schema"),
    ("pipelines/p_bill.yml", "suite: bill", "suite: bil", "pipelines/p_bill.yml", 5, "quality.suite"),
    ("pipelines/p_bill.yml", "sql: cost", "sql: cst", "pipelines/p_bill.yml", 7, "transforms.0.sql"),
    ("sources/bill.yml", "format: csv", "format: csv, delimter: ;", "sources/bill.yml", 2, "options.delimter"),
    ("schemas/bill.json", "NUMERIC", "MONEY", "schemas/bill.json", 1, ""),
    ("transforms/cost.sql", "acme_corp_raw_bill", "widgetsinc_raw_bill", "transforms/cost.sql", 2, ""),
    ("transforms/cost.sql", "SELECT _source", "DECLARE x INT64; SELECT _source", "transforms/cost.sql", 0, ""),
    ("transforms/cost.sql", "FROM acme_corp_raw_bill.bills", "FROM acme_corp_raw_bill.f(1)", "transforms/cost.sql", 2, ""),
    ("transforms/cost.sql", "FROM acme_corp_raw_bill.bills", "FROM EXTERNAL_QUERY('c', 'q')", "transforms/cost.sql", 2, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "old", "new", "file", "line", "field"),
    WRONG_FILES,
    ids=[
        "unknown key", "wrong type", "no source", "no schema", "no suite", "no transform",
        "unknown option", "unknown type", "foreign dataset", "script", "table function",
        "external query",
    ],
)  # fmt: skip
async def test_a_wrong_file_is_named_by_line_and_field_and_starts_nothing(
    bench: Bench, path: str, old: str, new: str, file: str, line: int, field: str
) -> None:
    bench.change(path, old, new)
    found = [e for e in await bench.errors("p_bill") if e.file == f"acme_corp/{file}"]
    assert found
    assert (found[0].line, field in found[0].field) == (line, True)
    assert found[0].found
    assert found[0].allowed
    assert found[0].advice
    for call in (bench.plan("p_bill"), bench.edge.create(parent=f"{TENANT}/pipelines/p_bill")):
        with refused("FAILED_PRECONDITION", "CONFIG_INVALID") as refusal:
            await call
        place = f"acme_corp/{file}" + f":{line}" * bool(line)
        assert any(found.startswith(place) for found in refusal.fields)


Break = Callable[[Bench], None]

WRONG_SOURCES: Final[list[tuple[str, str, str, Break, dict[str, str]]]] = [
    (
        "p_usage", "FAILED_PRECONDITION", "SECRET_NOT_FOUND",
        lambda b: (b.home / "secrets/openai.txt").unlink(), {"secret": "openai"},
    ),
    (
        "p_usage", "FAILED_PRECONDITION", "SECRET_NOT_PRIVATE",
        lambda b: (b.home / "secrets/openai.txt").chmod(0o644), {"secret": "openai"},
    ),
    (
        "p_bill", "FAILED_PRECONDITION", "COLUMN_MISSING",
        lambda b: b.write("bills/a.csv", "cost\n1.5\n"), {"column": "service"},
    ),
    ("p_bill", "FAILED_PRECONDITION", "SOURCE_EMPTY", lambda b: b.write("bills/a.csv", ""), {}),
    (
        "p_bill", "FAILED_PRECONDITION", "SOURCE_EMPTY",
        lambda b: b.write("bills/a.csv", "service,cost\n"), {},
    ),
    (
        "p_bill", "FAILED_PRECONDITION", "SOURCE_NOT_FOUND",
        lambda b: (b.home / "bills/a.csv").unlink(), {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pipeline", "code", "reason", "spoil", "facts"),
    WRONG_SOURCES,
    ids=["no secret", "open secret", "no column", "no bytes", "no rows", "no file"],
)
async def test_what_is_wrong_with_a_source_is_said_before_a_run_reads_it(
    bench: Bench, pipeline: str, code: str, reason: str, spoil: Break, facts: dict[str, str]
) -> None:
    spoil(bench)
    (error,) = await bench.errors(pipeline)
    assert error.file == f"acme_corp/sources/{pipeline[2:]}.yml"
    assert error.advice.endswith(reason)
    with refused(code, reason) as refusal:
        await bench.plan(pipeline)
    assert facts.items() <= refusal.metadata.items()
    run = await bench.edge.finish(parent=f"{TENANT}/pipelines/{pipeline}")
    assert (state_of(run), run.failure.reason) == ("FAILED", reason)
    assert run.failure.advice
    assert run.progress.chunk_count == 0
    assert "sk-admin-secret" not in str(run)


async def test_an_expectation_that_nobody_knows_is_named(bench: Bench) -> None:
    unknown = {**EXPECTATION, "type": "expect_the_moon"}
    bench.write("suites/bill.json", json.dumps({"name": "bill", "expectations": [unknown]}))
    (error,) = await bench.errors("p_bill")
    assert error.file == "acme_corp/suites/bill.json"
    assert "expectations[0]" in error.field
    assert "expect_the_moon" in error.found
    run = await bench.edge.finish(parent=f"{TENANT}/pipelines/p_bill")
    assert (state_of(run), run.failure.reason) == ("FAILED", "SUITE_INVALID")


async def test_everything_that_is_wrong_comes_back_at_once(bench: Bench) -> None:
    unknown = {**EXPECTATION, "type": "expect_the_moon"}
    bench.write("suites/bill.json", json.dumps({"name": "bill", "expectations": [unknown]}))
    bench.write("bills/a.csv", "")
    assert [error.file for error in await bench.errors("p_bill")] == [
        "acme_corp/suites/bill.json", "acme_corp/sources/bill.yml",
    ]  # fmt: skip


async def test_a_secret_is_in_no_answer(bench: Bench) -> None:
    bench.write("secrets/openai.txt", "sk-admin-secret\nsecond line", 0o600)
    request = pb.ValidatePipelineRequest(name=f"{TENANT}/pipelines/p_usage")
    try:
        answer = str(await bench.edge.ask("ValidatePipeline", request))
    except grpc.aio.AioRpcError as error:
        answer = f"{from_status(error)} {error.trailing_metadata()}"
    assert "sk-admin-secret" not in answer
    assert "second line" not in answer
