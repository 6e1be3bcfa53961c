"""PlanChunks over real gRPC: each success and each documented failure."""

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from convergence.ingest.v1 import source_pb2

from libs.common.errors import Delayed
from services.ingest.sources import parquet_batches
from tests.integration.ingest.providers import KEY, TODAY, Provider, openai
from tests.integration.ingest.serving import Served, served, token
from tests.support.refusals import refused
from tests.unit.ingest.asking import columns, file_source, plan_request, stamp

WINDOW = source_pb2.Interval(
    start_time=stamp(TODAY.replace(day=1)), end_time=stamp(TODAY.replace(day=2))
)
PARQUET, NDJSON = source_pb2.FILE_FORMAT_PARQUET, source_pb2.FILE_FORMAT_NDJSON


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncGenerator[Served]:
    async with served(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with openai() as running:
        yield running


@pytest.fixture
def provider(server: Provider) -> Provider:
    server.dial()
    return server


def parquet(**data: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(data), out, row_group_size=2)
    return out.getvalue()


def report_source(provider: Provider, **options: Any) -> source_pb2.Source:
    """Return the costs of an organization whose key is the secret `openai_key`."""
    plain: dict[str, Any] = {"base_url": provider.base_url, "reports": ["costs"]}
    return source_pb2.Source(
        source_id="s", secret="openai_key", openai=source_pb2.OpenAiSource(**(plain | options))
    )


def report_request(provider: Provider, **options: Any) -> Any:
    source = report_source(provider, **options)
    return plan_request(source=source, window=WINDOW, columns=columns("usage_date DATE"))


async def test_a_csv_file_is_split_into_byte_ranges_that_follow_one_another(
    worker: Served,
) -> None:
    worker.write("bills/a.csv", "a,b\n" + "1,2\n" * 3_000)
    response = await worker.plan(plan_request(source=file_source("bills/*.csv"), chunk_bytes=4096))
    ranges = [(c.byte_range.start, c.byte_range.end) for c in response.chunks]
    assert ranges == [(4, 4100), (4100, 8196), (8196, 12004)]
    assert [c.byte_range.first_row_number for c in response.chunks] == [0, 1024, 2048]
    assert [c.expected_row_count for c in response.chunks] == [1024, 1024, 952]
    assert {tuple(c.byte_range.header) for c in response.chunks} == {("a", "b")}
    assert {c.input.input_id for c in response.chunks} == {"bills/a.csv"}
    assert list(response.extra_columns) == ["b"]


async def test_files_are_planned_in_order_of_their_paths(worker: Served) -> None:
    for name in ("b", "a", "c"):
        worker.write(f"bills/{name}.csv", f"a\n{name}\n")
    response = await worker.plan(plan_request(source=file_source("bills/*.csv")))
    assert [c.input.input_id for c in response.chunks] == [f"bills/{n}.csv" for n in "abc"]
    assert len({c.input.content_hash for c in response.chunks}) == 3


async def test_a_parquet_file_is_split_into_row_groups(worker: Served) -> None:
    worker.write("f.parquet", parquet(a=["x"] * 5))
    response = await worker.plan(
        plan_request(source=file_source("f.parquet", format=PARQUET), chunk_bytes=1)
    )
    groups = [(c.row_groups.start, c.row_groups.end) for c in response.chunks]
    assert groups == [(0, 1), (1, 2), (2, 3)]
    assert [c.expected_row_count for c in response.chunks] == [2, 2, 1]


async def test_an_ndjson_file_is_split_at_line_breaks(worker: Served) -> None:
    worker.write("f.json", '{"a":1}\n' * 2_000)
    response = await worker.plan(
        plan_request(source=file_source("f.json", format=NDJSON), chunk_bytes=8192)
    )
    ranges = [(c.byte_range.start, c.byte_range.end) for c in response.chunks]
    assert ranges == [(0, 8192), (8192, 16000)]


async def test_a_report_is_split_into_windows(worker: Served, provider: Provider) -> None:
    worker.write("secrets/openai_key.txt", KEY, 0o600)
    response = await worker.plan(report_request(provider))
    (chunk,) = response.chunks
    assert (chunk.report_window.report, chunk.report_window.window) == ("costs", WINDOW)
    assert not chunk.HasField("expected_row_count")


async def test_a_parquet_page_that_no_worker_holds_is_refused_with_what_to_do(
    worker: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_batches, "MOST_PAGE_BYTES", 1000)
    worker.write("f.parquet", parquet(a=["x" * 2000]))
    with refused("FAILED_PRECONDITION", "MEMORY_EXCEEDED") as refusal:
        await worker.plan(plan_request(source=file_source("f.parquet", format=PARQUET)))
    assert refusal.metadata["source"] == "f.parquet"
    assert refusal.metadata["allowed"] == "1000 bytes"
    assert "row group 0, column a" in refusal.metadata["found"]
    assert "write pages of 1 MiB" in str(refusal.error)


async def test_a_plan_that_fits_into_no_message_is_refused_with_what_to_do(worker: Served) -> None:
    for name in range(41):
        worker.write(f"bills/{name}.csv", f"a,{'b' * 100_000}\n1,2\n")
    with refused("FAILED_PRECONDITION", "SOURCE_TOO_LARGE") as refusal:
        await worker.plan(plan_request(source=file_source("bills/*.csv")))
    assert (refusal.metadata["chunks"], refusal.metadata["allowed"]) == ("41", "4128768")
    assert int(refusal.metadata["bytes"]) > 4_128_768
    assert "deliver fewer and larger files" in str(refusal.error)


async def test_a_caller_that_leaves_stops_the_planning(tmp_path: Path, provider: Provider) -> None:
    waiting, told = threading.Event(), threading.Event()

    def pause(cancelled: threading.Event, _: float) -> bool:
        waiting.set()
        if cancelled.wait(10):
            told.set()
        return True

    provider.dial(failures=[{"status": 429, "retry_after": 1}])
    async with served(tmp_path, pause=pause) as worker:
        worker.write("secrets/openai_key.txt", KEY, 0o600)
        call = worker.stub.PlanChunks(report_request(provider), metadata=token(), timeout=60)
        asking = asyncio.ensure_future(call)
        assert await asyncio.to_thread(waiting.wait, 10)
        call.cancel()
        await asyncio.wait({asking})
        assert await asyncio.to_thread(told.wait, 10)


async def test_planning_twice_changes_nothing_and_gives_the_same(worker: Served) -> None:
    worker.write("f.csv", "a\n1\n")
    assert await worker.plan(plan_request()) == await worker.plan(plan_request())


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"parent": "acme", "columns": [], "spec_hash": ""}, ["columns", "parent", "spec_hash"]),
        ({"source": source_pb2.Source()}, ["source"]),
        ({"source": file_source(format=0)}, ["source.file.format"]),
        ({"source": file_source(delimiter="ab")}, ["source.file"]),
        (
            {"source": file_source(compression=99, encoding=99)},
            ["source.file.compression", "source.file.encoding"],
        ),
        (
            {"source": file_source(format=PARQUET, compression=1, encoding=1)},
            ["source.file.compression", "source.file.encoding"],
        ),
        (
            {"source": source_pb2.Source(openai=source_pb2.OpenAiSource())},
            ["source.openai.reports"],
        ),
        (
            {"source": source_pb2.Source(openai=source_pb2.OpenAiSource(reports=["images"]))},
            ["source.openai.reports"],
        ),
        (
            {"source": source_pb2.Source(openai=source_pb2.OpenAiSource(reports=["costs"]))},
            ["window"],
        ),
    ],
    ids=[
        "several",
        "no kind",
        "no format",
        "delimiter",
        "unknown coding",
        "coding of parquet",
        "no reports",
        "unknown report",
        "no window",
    ],
)
async def test_wrong_fields_are_all_named(
    worker: Served, fields: dict[str, Any], violations: list[str]
) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await worker.plan(plan_request(**fields))
    assert refusal.fields == violations


@pytest.mark.parametrize(
    "path", ["../other/x.csv", "/etc/passwd", "out/x.csv", "secrets/k.txt", "*/k.txt", "."]
)
async def test_a_path_that_leaves_the_tenants_folder_is_refused(worker: Served, path: str) -> None:
    worker.write("secrets/k.txt", "a\nsk-admin\n", 0o600)
    (worker.root / "other").mkdir()
    (worker.root / "other" / "x.csv").write_text("a\n1\n")
    (worker.root / "acme" / "out").symlink_to(worker.root / "other")
    with refused("INVALID_ARGUMENT", "SOURCE_NOT_ALLOWED") as refusal:
        await worker.plan(plan_request(source=file_source(path)))
    assert refusal.metadata == {"source": "path", "found": path}
    assert refusal.fields == ["path"]


@pytest.mark.parametrize(
    ("data", "reason", "metadata"),
    [
        (None, "SOURCE_NOT_FOUND", {"source": "f.csv", "found": "nothing"}),
        ("", "SOURCE_EMPTY", {"source": "f.csv"}),
        ("a\n", "SOURCE_EMPTY", {"source": "f.csv"}),
        ("a,a\n1,2\n", "SOURCE_MALFORMED", {"source": "f.csv", "file": "f.csv"}),
        ("b\n1\n", "COLUMN_MISSING", {"column": "a"}),
    ],
    ids=["no file", "no bytes", "no rows", "a name twice", "a column missing"],
)
async def test_a_file_that_cannot_be_planned_is_named(
    worker: Served, data: str | None, reason: str, metadata: dict[str, str]
) -> None:
    if data is not None:
        worker.write("f.csv", data)
    with refused("FAILED_PRECONDITION", reason) as refusal:
        await worker.plan(plan_request())
    assert refusal.metadata == metadata


async def test_a_column_that_a_frozen_contract_does_not_know_fails_the_plan(
    worker: Served,
) -> None:
    worker.write("f.csv", "a,b\n1,2\n")
    request = plan_request()
    request.source.contract.columns = source_pb2.CONTRACT_MODE_FREEZE
    with refused("FAILED_PRECONDITION", "CONTRACT_BROKEN") as refusal:
        await worker.plan(request)
    assert refusal.metadata == {
        "source": "f.csv",
        "column": "b",
        "found": "a column that the schema lacks",
    }
    request.source.contract.columns = source_pb2.CONTRACT_MODE_EVOLVE
    planned = await worker.plan(request)
    assert [(c.name, c.type, c.mode) for c in planned.evolved_columns] == [
        ("b", "STRING", "NULLABLE")
    ]


async def test_a_missing_secret_is_named_with_where_it_would_be(
    worker: Served, provider: Provider
) -> None:
    with refused("FAILED_PRECONDITION", "SECRET_NOT_FOUND") as refusal:
        await worker.plan(report_request(provider))
    assert refusal.metadata == {"secret": "openai_key"}
    assert "acme/secrets/openai_key.txt" in str(refusal.error)


async def test_a_secret_that_others_may_read_is_refused(worker: Served, provider: Provider) -> None:
    worker.write("secrets/openai_key.txt", KEY, 0o640)
    with refused("FAILED_PRECONDITION", "SECRET_NOT_PRIVATE") as refusal:
        await worker.plan(report_request(provider))
    assert refusal.metadata == {
        "secret": "openai_key",
        "path": "acme/secrets/openai_key.txt",
        "mode": "0640",
    }
    assert KEY not in str(refusal.error)


async def test_a_secret_store_that_cannot_be_asked_is_unavailable(
    tmp_path: Path, provider: Provider
) -> None:
    async with (
        served(tmp_path / "one") as other,
        served(
            tmp_path / "two", secret_manager_project="p", secret_manager_address=other.address
        ) as worker,
    ):
        with refused("UNAVAILABLE", "SECRET_STORE_UNAVAILABLE") as refusal:
            await worker.plan(report_request(provider))
    assert refusal.metadata == {"secret": "openai_key"}


async def test_a_provider_that_answers_something_else_is_known_when_the_run_is_planned(
    worker: Served, provider: Provider
) -> None:
    worker.write("secrets/openai_key.txt", KEY, 0o600)
    provider.dial(failures=[{"status": 200, "message": "welcome"}])
    with refused("FAILED_PRECONDITION", "SOURCE_PROTOCOL_BROKEN") as refusal:
        await worker.plan(report_request(provider))
    assert refusal.metadata["source"] == "costs"


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "FAILED_PRECONDITION", "SOURCE_UNAUTHENTICATED"),
        (403, "FAILED_PRECONDITION", "SOURCE_FORBIDDEN"),
        (404, "FAILED_PRECONDITION", "SOURCE_NOT_FOUND"),
        (400, "FAILED_PRECONDITION", "SOURCE_REFUSED"),
        (429, "RESOURCE_EXHAUSTED", "SOURCE_RATE_LIMITED"),
    ],
)
async def test_what_a_provider_refuses_is_known_when_the_run_is_planned(
    worker: Served, provider: Provider, status: int, code: str, reason: str
) -> None:
    worker.write("secrets/openai_key.txt", KEY, 0o600)
    provider.dial(failures=[{"status": status, "retry_after": 77, "message": f"no {KEY}"}])
    with refused(code, reason) as refusal:
        await worker.plan(report_request(provider))
    assert refusal.metadata["source"] == "costs"
    assert refusal.metadata["status"] == str(status)
    assert KEY not in str(refusal.error)
    if isinstance(refusal.error, Delayed):
        assert refusal.error.retry_after == 77


async def test_a_provider_that_is_not_there_is_unavailable(
    worker: Served, provider: Provider
) -> None:
    worker.write("secrets/openai_key.txt", KEY, 0o600)
    worker_request = report_request(provider, base_url="http://127.0.0.1:1/v1")
    with refused("UNAVAILABLE", "SOURCE_UNAVAILABLE") as refusal:
        await worker.plan(worker_request)
    assert refusal.metadata == {"source": "costs"}
    assert worker.waits == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.openai.com/v1",
        "https://127.0.0.1/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "https://localhost:1/v1",
        "nothing",
    ],
)
async def test_an_address_inside_is_refused_unless_the_operator_allows_it(
    tmp_path: Path, provider: Provider, base_url: str
) -> None:
    async with served(tmp_path, allow_private_addresses=False) as worker:
        worker.write("secrets/openai_key.txt", KEY, 0o600)
        with refused("INVALID_ARGUMENT", "SOURCE_NOT_ALLOWED") as refusal:
            await worker.plan(report_request(provider, base_url=base_url))
    assert refusal.fields == ["base_url"]
    assert refusal.metadata["source"] == "base_url"


async def test_a_worker_that_drains_takes_no_plan(worker: Served) -> None:
    worker.write("f.csv", "a\n1\n")
    worker.host.draining.set()
    with refused("UNAVAILABLE", "WORKER_DRAINING"):
        await worker.plan(plan_request())


async def test_a_plan_is_the_same_for_a_pipeline_and_its_run(worker: Served) -> None:
    worker.write("f.csv", "a\n1\n")
    run = await worker.plan(plan_request(parent="tenants/acme/pipelines/p_usage/runs/r1"))
    assert run == await worker.plan(plan_request())


async def test_a_tenant_reads_its_own_folder(worker: Served) -> None:
    (worker.root / "widgets").mkdir()
    (worker.root / "widgets" / "f.csv").write_text("a\n1\n")
    with refused("FAILED_PRECONDITION", "SOURCE_NOT_FOUND"):
        await worker.plan(plan_request())
