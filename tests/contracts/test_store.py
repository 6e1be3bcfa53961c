"""What every store keeps: a tenant's folder, S3 (moto) and Cloud Storage (fake-gcs-server)."""

import dataclasses
import io
import json
import random
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from libs.common.errors import ServiceError
from services.ingest.chunks import Input
from services.ingest.failures import (
    Cancelled,
    ManifestInvalid,
    SourceChanged,
    SourceNotAllowed,
    SourceNotFound,
)
from services.ingest.sources.files import Files
from services.ingest.stores import object_store
from services.ingest.stores.hashing import content_hash
from tests.contracts.store_bench import RUNNING, Bench, folder, google_bucket, s3_bucket
from tests.support import object_servers
from tests.unit.ingest.reading import columns, read_all, reading, splitting

MANIFESTS = Path(__file__).parents[1] / "data" / "manifests"


@pytest.fixture(scope="module")
def s3() -> Generator[object_servers.S3]:
    with object_servers.s3() as server:
        yield server


@pytest.fixture(scope="module")
def google() -> Generator[object_servers.Google]:
    with object_servers.google() as server:
        yield server


KINDS: dict[str, Any] = {"folder": folder, "s3": s3_bucket, "google": google_bucket}


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    of = tmp_path if request.param == "folder" else request.getfixturevalue(request.param)
    with KINDS[request.param](of) as made:
        yield made


@pytest.fixture(scope="module", params=KINDS)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A store with NAMES, that no test changes."""
    folder_of_one = tmp_path_factory.mktemp("filled")
    of = folder_of_one if request.param == "folder" else request.getfixturevalue(request.param)
    with KINDS[request.param](of) as made:
        for name in NAMES:
            made.put(name, b"a\n1\n")
        yield made


NAMES = (
    "bills/b.csv", "bills/a.csv", "bills/deep/c.csv", "bills/deep/er/d.csv", "bills/x.txt",
    "bills.csv", "bills/.hidden.csv", "bills/[1].csv", "bills/ü ö%20+&=#'.csv", "billsx/a.csv",
)  # fmt: skip


def names(bench: Bench, pattern: str) -> list[str]:
    found = bench.store.find(bench.at(pattern), RUNNING)
    return [input_.input_id.removeprefix(bench.at("")) for input_ in found]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("bills/a.csv", ["bills/a.csv"]),
        ("bills/?.csv", ["bills/a.csv", "bills/b.csv"]),
        ("bills/[!b].csv", ["bills/a.csv"]),
        ("bills/[[]1].csv", ["bills/[1].csv"]),
        ("bills/*/*.csv", ["bills/deep/c.csv"]),
        (
            "bills/*.csv",
            [
                "bills/.hidden.csv", "bills/[1].csv", "bills/a.csv", "bills/b.csv",
                "bills/ü ö%20+&=#'.csv",
            ],
        ),
        (
            "bills/**/?.csv",
            ["bills/a.csv", "bills/b.csv", "bills/deep/c.csv", "bills/deep/er/d.csv"],
        ),
        ("**/deep/**/*.csv", ["bills/deep/c.csv", "bills/deep/er/d.csv"]),
        ("*/a.csv", ["bills/a.csv", "billsx/a.csv"]),
        ("*.csv", ["bills.csv"]),
        ("bills/ü*", ["bills/ü ö%20+&=#'.csv"]),
    ],
)  # fmt: skip
def test_a_glob_matches_everywhere_as_it_matches_files(
    filled: Bench, pattern: str, found: list[str]
) -> None:
    assert names(filled, pattern) == found


@pytest.mark.parametrize("pattern", ["none/*.csv", "bills/**", "BILLS/*.csv", "bills", "a.csv"])
def test_a_glob_that_matches_nothing_is_refused_by_name(filled: Bench, pattern: str) -> None:
    with pytest.raises(SourceNotFound) as refused:
        filled.store.find(filled.at(pattern), RUNNING)
    assert refused.value.metadata == {"source": filled.at(pattern), "found": "nothing"}


@pytest.mark.parametrize("pattern", ["a**/x.csv", "../x.csv", "a/../../x.csv"])
def test_what_is_no_glob_of_the_tenants_is_refused(filled: Bench, pattern: str) -> None:
    with pytest.raises(SourceNotAllowed) as refused:
        filled.store.find(filled.at(pattern), RUNNING)
    assert refused.value.metadata["found"] == filled.at(pattern)


def test_nothing_of_others_is_found_or_opened(bench: Bench) -> None:
    with pytest.raises(ServiceError) as refused:
        bench.store.find(bench.outside(), RUNNING)
    assert refused.value.reason in {"SOURCE_NOT_ALLOWED", "PREFIX_NOT_ALLOWED"}
    assert bench.outside() in str(refused.value)
    planned = Input(input_id=bench.outside().replace("*", "a"), size_bytes=1, version="1")
    for ask in (bench.store.open, bench.store.check):
        with pytest.raises(ServiceError) as refused:
            ask(planned)
        assert refused.value.reason in {"SOURCE_NOT_ALLOWED", "PREFIX_NOT_ALLOWED"}


def only(bench: Bench, data: bytes, name: str = "a.csv") -> Input:
    """Put one object and return it as it is planned."""
    bench.put(name, data)
    (planned,) = bench.store.find(bench.at(name), RUNNING)
    return planned


def read(bench: Bench, planned: Input, start: int, end: int) -> bytes:
    with bench.store.open(planned).stream(start, end) as file:
        return file.read(end - start)


def test_an_object_is_read_from_any_byte_to_any_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "BLOCK", 1000)
    data = random.Random(1).randbytes(10_007)
    planned = only(bench, data)
    blob = bench.store.open(planned)
    assert (planned.size_bytes, blob.size_bytes) == (len(data), len(data))
    for start, end in [(0, 10_007), (0, 1), (999, 1001), (1000, 2000), (10_006, 10_007), (5, 5)]:
        assert read(bench, planned, start, end) == data[start:end]
    with blob.stream(0, len(data)) as file:
        pieces = iter(lambda: file.read(777), b"")
        assert b"".join(pieces) == data
    with blob.stream(10, len(data)) as file:
        assert (file.read(0), file.read(3)) == (b"", data[10:13])


def test_an_object_is_read_anywhere_in_it(bench: Bench) -> None:
    data = random.Random(2).randbytes(3_000_000)
    planned = only(bench, data)
    with bench.store.open(planned).seekable() as file:
        assert file.seek(0, io.SEEK_END) == len(data)
        assert file.read(1) == b""
        for at in (2_999_990, 0, 1_500_000, 7):
            file.seek(at)
            assert (file.read(20), file.tell()) == (data[at : at + 20], min(at + 20, len(data)))
        file.seek(-5, io.SEEK_END)
        assert file.read() == data[-5:]
        file.seek(0)
        assert file.read() == data


def test_parquet_is_read_from_it(bench: Bench) -> None:
    made = io.BytesIO()
    table = pa.table({"a": list(range(100_000)), "b": ["x" * (n % 9) for n in range(100_000)]})
    pq.write_table(table, made, row_group_size=20_000)
    planned = only(bench, made.getvalue(), "a.parquet")
    with bench.store.open(planned).seekable() as file:
        assert pq.ParquetFile(file).read() == table


def test_an_empty_object_is_one(bench: Bench) -> None:
    planned = only(bench, b"")
    assert (planned.size_bytes, read(bench, planned, 0, 0)) == (0, b"")
    with bench.store.open(planned).seekable() as file:
        assert file.read() == b""


def test_what_did_not_change_is_as_it_was_planned(bench: Bench) -> None:
    planned = only(bench, b"a\n1\n")
    bench.store.check(planned)
    assert bench.store.find(bench.at("a.csv"), RUNNING) == [planned]
    assert read(bench, planned, 0, 4) == b"a\n1\n"


@pytest.mark.parametrize("data", [b"a\n2\n", b"a\n1\n3\n", b""], ids=["same size", "more", "less"])
def test_what_was_written_again_is_not_read(bench: Bench, data: bytes) -> None:
    planned = only(bench, b"a\n1\n")
    bench.put("a.csv", data)
    refused_as_changed(bench, planned)
    assert bench.store.find(bench.at("a.csv"), RUNNING) != [planned]


def test_what_is_gone_is_not_read(bench: Bench) -> None:
    planned = only(bench, b"a\n1\n")
    bench.delete("a.csv")
    refused_as_changed(bench, planned)


def refused_as_changed(bench: Bench, planned: Input) -> None:
    def seek() -> None:
        with bench.store.open(planned).seekable() as file:
            file.read(1)

    asked = (lambda: read(bench, planned, 0, 2), seek, lambda: bench.store.check(planned))
    for ask in asked:
        with pytest.raises(SourceChanged) as refused:
            ask()
        assert refused.value.metadata == {"source": planned.input_id}
        assert "retry the run" in str(refused.value)


def content_of(bench: Bench, found: Input) -> str:
    """Return what the store says of an object's content, or the hash that is taken where it does not."""
    blob = bench.store.open(found)
    return found.content_hash or content_hash(blob, found.input_id, threading.Event())


def test_other_content_has_another_hash_and_a_copy_the_same(bench: Bench) -> None:
    first = content_of(bench, only(bench, b"a\n1\n"))
    copy = content_of(bench, only(bench, b"a\n1\n", "copy.csv"))
    other = content_of(bench, only(bench, b"a\n2\n"))
    assert first == copy != other


def test_a_cancelled_search_stops(bench: Bench) -> None:
    bench.put("a.csv", b"x")
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        bench.store.find(bench.at("*.csv"), cancelled)


def test_a_plan_survives_being_told(bench: Bench) -> None:
    planned = only(bench, b"a\n1\n")
    told = Input(**dataclasses.asdict(planned))
    assert read(bench, told, 2, 4) == b"1\n"


PERIOD = "exports/my-focus/{}/BILLING_PERIOD=2026-11"


def test_a_manifest_names_the_files_of_its_delivery_wherever_they_are(bench: Bench) -> None:
    data, metadata = PERIOD.format("data"), PERIOD.format("metadata")
    said = json.loads((MANIFESTS / "aws_overwrite.json").read_text())
    for name in ("my-focus-00001.csv", "my-focus-00002.csv", "my-focus-00003.csv"):
        bench.put(f"{data}/{name}", b"id,cost\n1,2\n")
    bench.put(f"{metadata}/my-focus-Manifest.json", json.dumps(said).encode())
    source = Files(
        store=bench.store, path=bench.at("exports/**/*-Manifest.json"), format="csv", manifest="aws"
    )
    found = read_all(source, columns("id", "cost"))
    assert found.texts == [("1", "2")] * 2
    assert [chunk.input.input_id for chunk in found.plan.chunks] == [
        bench.at(f"{data}/my-focus-0000{n}.csv") for n in (1, 2)
    ]
    delivery = bench.at("exports/my-focus/BILLING_PERIOD=2026-11")
    assert found.plan.deliveries == (delivery,)
    assert {chunk.input.delivery for chunk in found.plan.chunks} == {delivery}
    bench.delete(f"{data}/my-focus-00002.csv")
    with pytest.raises(ManifestInvalid, match=r"my-focus-00002\.csv, which is not there"):
        source.plan(splitting(columns("id", "cost")))


def test_a_chunk_of_a_file_that_changed_after_the_plan_fails_and_mixes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "BLOCK", 64)
    bench.put("a.csv", b"id,cost\n" + b"1,2\n" * 1000)
    source = Files(store=bench.store, path=bench.at("*.csv"), format="csv", block_bytes=64)
    wanted = columns("id", "cost")
    first, *_ = source.plan(splitting(wanted, 2000)).chunks
    batches = source.read(first, reading(wanted))
    rows = next(batches).rows.rows()
    bench.put("a.csv", b"id,cost\n" + b"3,4\n" * 1000)
    with pytest.raises(SourceChanged):
        rows += [row for batch in batches for row in batch.rows.rows()]
    if bench.at("x") != "x":
        assert set(rows) == {("1", "2")}, (
            "a file is checked when it was read, an object at each read"
        )
