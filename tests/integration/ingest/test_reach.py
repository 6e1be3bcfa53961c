"""Where in object stores a worker reads, as the caller's token says: PlanChunks and IngestChunk over real gRPC."""

import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from convergence.ingest.v1 import ingest_service_pb2 as pb
from convergence.ingest.v1 import source_pb2

from tests.contracts.store_bench import name_bucket
from tests.integration.ingest.serving import Served, served, token
from tests.support import object_servers
from tests.support.refusals import refused
from tests.unit.ingest.asking import columns, file_source, ingest_request, plan_request

CSV = source_pb2.FILE_FORMAT_CSV
COLUMNS = columns("id INT64", "cost BIGNUMERIC")


@pytest.fixture(scope="module")
def s3() -> Iterator[object_servers.S3]:
    with object_servers.s3() as server:
        yield server


class Bucket:
    """A bucket of which tenant acme may read `acme/`, and a worker that is asked about it."""

    def __init__(self, s3: object_servers.S3, worker: Served) -> None:
        self.s3, self.worker, self.name = s3, worker, name_bucket()
        self.client = s3.client()
        self.client.create_bucket(Bucket=self.name)
        worker.write("secrets/store_key.txt", json.dumps(s3.key), 0o600)

    def put(self, key: str, text: str) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=text.encode())

    def at(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def source(self, glob: str, **options: Any) -> source_pb2.Source:
        source = file_source(self.at(glob), endpoint=self.s3.address, **options)
        source.secret = "store_key"
        return source

    async def plan(self, source: source_pb2.Source, *prefixes: str) -> pb.PlanChunksResponse:
        request = plan_request(source=source, columns=COLUMNS)
        shown = token(source_prefixes=[self.at(prefix) for prefix in prefixes])
        response: pb.PlanChunksResponse = await self.worker.stub.PlanChunks(
            request, metadata=shown, timeout=60
        )
        return response

    async def ingest(self, source: source_pb2.Source, chunk: Any, *prefixes: str) -> Any:
        request = ingest_request(source=source, chunk=chunk, columns=COLUMNS)
        shown = token(source_prefixes=[self.at(prefix) for prefix in prefixes])
        call = self.worker.stub.IngestChunk(request, metadata=shown, timeout=60)
        return [event async for event in call][-1]


@pytest.fixture
async def bucket(s3: object_servers.S3, tmp_path: Path) -> AsyncGenerator[Bucket]:
    async with served(tmp_path) as worker:
        yield Bucket(s3, worker)


async def test_an_object_below_a_tenants_prefix_is_planned_and_ingested(bucket: Bucket) -> None:
    bucket.put("acme/a.csv", "id,cost\n1,0.1\n2,0.20\n")
    bucket.put("acme_corp/b.csv", "id,cost\n9,9\n")
    source = bucket.source("acme/*.csv")
    (chunk,) = (await bucket.plan(source, "acme/")).chunks
    assert (chunk.input.input_id, chunk.input.size_bytes) == (bucket.at("acme/a.csv"), 21)
    assert chunk.input.content_hash == f"etag:{chunk.input.version}"
    result = (await bucket.ingest(source, chunk, "acme/")).result
    rows = bucket.worker.rows(result.stream)
    assert [(row["id"], str(row["cost"]).rstrip("0"), row["_source"]) for row in rows] == [
        (1, "0.1", bucket.at("acme/a.csv")), (2, "0.2", bucket.at("acme/a.csv")),
    ]  # fmt: skip


@pytest.mark.parametrize("prefixes", [(), ("acm/",), ("acme",), ("acme/x/",)])
async def test_what_no_prefix_of_the_tenant_allows_is_refused_with_what_is(
    bucket: Bucket, prefixes: tuple[str, ...]
) -> None:
    bucket.put("acme/a.csv", "id,cost\n1,0.1\n")
    with refused("FAILED_PRECONDITION", "PREFIX_NOT_ALLOWED") as refusal:
        await bucket.plan(bucket.source("acme/*.csv"), *prefixes)
    allowed = ", ".join(bucket.at(prefix) for prefix in prefixes) or "nothing of object stores"
    found = bucket.at("acme/*.csv")
    assert refusal.metadata == {"source": found, "found": found, "allowed": allowed}
    assert "convergence tenants update" in str(refusal.error)


async def test_a_chunk_is_held_to_the_prefixes_too_whatever_was_planned(bucket: Bucket) -> None:
    bucket.put("acme/a.csv", "id,cost\n1,0.1\n")
    bucket.put("other/b.csv", "id,cost\n9,9.9\n")
    source = bucket.source("acme/*.csv")
    (chunk,) = (await bucket.plan(source, "acme/")).chunks
    taken_away = await bucket.ingest(source, chunk, "other/")
    chunk.input.input_id = bucket.at("other/b.csv")
    forged = await bucket.ingest(source, chunk, "acme/")
    chunk.input.input_id = "s3://another-bucket/acme/a.csv"
    elsewhere = await bucket.ingest(source, chunk, "acme/")
    for event, reason in (
        (taken_away, "PREFIX_NOT_ALLOWED"),
        (forged, "PREFIX_NOT_ALLOWED"),
        (elsewhere, "SOURCE_NOT_ALLOWED"),
    ):
        assert (event.failure.failure.reason, event.failure.transient) == (reason, False)


async def test_an_object_that_was_written_again_fails_its_chunk(bucket: Bucket) -> None:
    bucket.put("acme/a.csv", "id,cost\n1,0.1\n")
    source = bucket.source("acme/*.csv")
    (chunk,) = (await bucket.plan(source, "acme/")).chunks
    bucket.put("acme/a.csv", "id,cost\n1,0.2\n")
    failure = (await bucket.ingest(source, chunk, "acme/")).failure
    assert (failure.failure.reason, failure.failure.kind) == ("SOURCE_CHANGED", 2)
    assert failure.failure.metadata["source"] == bucket.at("acme/a.csv")


async def test_a_manifest_that_is_none_is_refused(bucket: Bucket) -> None:
    bucket.put("acme/x-Manifest.json", "{}")
    source = bucket.source("acme/*.json", manifest=source_pb2.MANIFEST_KIND_AWS)
    with refused("FAILED_PRECONDITION", "MANIFEST_INVALID") as refusal:
        await bucket.plan(source, "acme/")
    manifest = bucket.at("acme/x-Manifest.json")
    assert refusal.metadata == {"source": manifest, "manifest": manifest}


async def test_deliveries_are_told_with_their_inputs(bucket: Bucket) -> None:
    folder = "acme/my-focus/{}/BILLING_PERIOD=2026-11"
    bucket.put(f"{folder.format('data')}/1.csv", "id,cost\n1,0.1\n")
    named = bucket.at(f"{folder.format('data')}/1.csv")
    said = json.dumps({"executionId": "x", "dataFiles": [named]})
    bucket.put(f"{folder.format('metadata')}/my-focus-Manifest.json", said)
    source = bucket.source("acme/**/*-Manifest.json", manifest=source_pb2.MANIFEST_KIND_AWS)
    plan = await bucket.plan(source, "acme/")
    delivery = bucket.at("acme/my-focus/BILLING_PERIOD=2026-11")
    assert list(plan.deliveries) == [delivery]
    assert [chunk.input.delivery for chunk in plan.chunks] == [delivery]


async def test_without_a_secret_or_with_a_wrong_region_it_is_refused_by_field(
    bucket: Bucket,
) -> None:
    source = bucket.source("acme/*.csv")
    source.secret = ""
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await bucket.plan(source, "acme/")
    assert refusal.fields == ["source.secret"]
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await bucket.plan(bucket.source("acme/*.csv", region="x.evil.example/"), "acme/")
    assert refusal.fields == ["source.file.region"]


async def test_a_key_without_rights_is_said_to_have_none(bucket: Bucket) -> None:
    bucket.worker.write("secrets/store_key.txt", json.dumps(bucket.s3.poor), 0o600)
    with refused("FAILED_PRECONDITION", "SOURCE_FORBIDDEN"):
        await bucket.plan(bucket.source("acme/*.csv"), "acme/")
    wrong = bucket.s3.key | {"secret_access_key": "wrong"}
    bucket.worker.write("secrets/store_key.txt", json.dumps(wrong), 0o600)
    with refused("FAILED_PRECONDITION", "SOURCE_UNAUTHENTICATED") as refusal:
        await bucket.plan(bucket.source("acme/*.csv"), "acme/")
    assert bucket.s3.key["access_key_id"] not in str(refusal.error)


async def test_where_local_files_are_off_only_object_stores_are_read(tmp_path: Path) -> None:
    async with served(tmp_path, local_files=False) as worker:
        worker.write("f.csv", "id,cost\n1,2\n")
        with refused("INVALID_ARGUMENT", "SOURCE_NOT_ALLOWED") as refusal:
            await worker.plan(plan_request(columns=COLUMNS))
    assert refusal.metadata == {"source": "path", "found": "f.csv"}
    assert "allowed here is gs://bucket/glob or s3://bucket/glob" in str(refusal.error)
