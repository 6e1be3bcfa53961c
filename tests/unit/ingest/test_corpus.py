"""Nasty files: whatever they hold, every row lands or is quarantined, and counts and money add up."""

import contextlib
import datetime as dt
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from convergence.ingest.v1 import ingest_service_pb2 as pb
from convergence.ingest.v1 import source_pb2
from google.protobuf import json_format

from libs.common.errors import ServiceError
from libs.common.money import total
from libs.common.secret_files import FileSecrets
from libs.common.secrets import Secrets
from services.ingest.ingestion import Ingestion, Tally
from services.ingest.messages import chunk_message
from services.ingest.requests import splitting_of, task_of
from services.ingest.sink import MemorySink
from services.ingest.sources.guard import guarded_backend
from services.ingest.sources.opening import Sources
from services.ingest.stores.buckets import Buckets

CORPUS = Path(__file__).resolve().parents[2] / "data" / "corpus"
FILES = yaml.safe_load(CORPUS.with_suffix(".yml").read_text())
PIPELINE = "tenants/acme/pipelines/p_nasty"
TABLE = "local.acme_raw.nasty"
NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)


class Found:
    """What became of a file: rows as landed, in order, and the tallies of its chunks."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.tallies: list[Tally] = []
        self.quarantined: list[dict[str, Any]] = []

    def money(self, column: str, field: str) -> Decimal:
        return total(getattr(tally.money[column], field) for tally in self.tallies)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    """Return sources over a tenant's folder that holds the corpus."""
    root = tmp_path_factory.mktemp("configs")
    shutil.copytree(CORPUS, root / "acme" / "corpus")
    with contextlib.closing(httpx.Client()) as http:
        secrets = Secrets([FileSecrets(root)], monotonic=time.monotonic)
        buckets = Buckets(
            proxy="http://127.0.0.1:9",
            backend=guarded_backend(False),
            http=http,
            allow_private_addresses=False,
        )
        yield Sources(root, secrets, http, buckets, allow_private_addresses=False)


def _columns(case: dict[str, Any]) -> list[pb.Column]:
    stated = case.get("columns", ["id STRING", "cost BIGNUMERIC", "note STRING"])
    specs = [(*text.split(), "NULLABLE")[:3] for text in stated]
    return [pb.Column(name=name, type=type_, mode=mode) for name, type_, mode in specs]


def _source(case: dict[str, Any]) -> source_pb2.Source:
    options = {"format": "FILE_FORMAT_CSV", **case.get("source", {})}
    message = {"sourceId": "nasty", "file": {"path": f"corpus/{case['file']}", **options}}
    if "texts" in case:
        message["texts"] = case["texts"]
    return json_format.ParseDict(message, source_pb2.Source())


def _read(sources: Sources, case: dict[str, Any], chunk_bytes: int) -> Found:
    found = Found()
    source, columns = _source(case), _columns(case)
    cancelled = threading.Event()
    opened = sources.open("acme", source, cancelled)
    request = pb.PlanChunksRequest(
        parent=PIPELINE, source=source, columns=columns, spec_hash="x", chunk_bytes=chunk_bytes
    )
    for chunk in opened.plan(splitting_of(request, cancelled)[1]).chunks:
        work = pb.IngestChunkRequest(
            run=f"{PIPELINE}/runs/r1",
            run_attempt=1,
            chunk_attempt=1,
            source=source,
            chunk=chunk_message(chunk),
            columns=columns,
            table=TABLE,
            quarantine_table=f"{TABLE}__quarantine",
        )
        work.ingest_time.FromDatetime(NOON)
        work.deadline.FromDatetime(NOON + dt.timedelta(hours=1))
        sink = MemorySink()
        ingestion = Ingestion(task_of(work), sink, now=lambda: NOON)
        tally = ingestion.run(opened, cancelled, lambda _: None)
        found.tallies.append(tally)
        if tally.stream:
            found.rows += sink.finished[tally.stream].to_pylist()
        if tally.quarantine_stream:
            found.quarantined += sink.finished[tally.quarantine_stream].to_pylist()
    return found


@pytest.mark.parametrize("chunk_bytes", [64, 64 * 1024 * 1024])
@pytest.mark.parametrize("case", FILES, ids=[case["file"] for case in FILES])
def test_rows_land_or_are_quarantined(
    sources: Sources, case: dict[str, Any], chunk_bytes: int
) -> None:
    if "fails" in case:
        with pytest.raises(ServiceError) as refused:
            _read(sources, case, chunk_bytes)
        assert refused.value.reason == case["fails"], refused.value
        assert case["file"] in str(refused.value)
        return
    found = _read(sources, case, chunk_bytes)
    kinds: Counter[str] = Counter()
    for tally in found.tallies:
        for (kind, _), count in tally.quarantine_counts.items():
            kinds[kind] += count
    assert len(found.rows) == case["landed"]
    assert kinds == Counter(case.get("quarantined", {}))
    assert len(found.quarantined) == kinds.total()
    _check_money(found, case)
    _check_rows(found.rows, case.get("rows"))
    numbers = [row["_row_number"] for row in (*found.rows, *found.quarantined)]
    assert sorted(numbers) == list(range(len(numbers)))


def _check_money(found: Found, case: dict[str, Any]) -> None:
    column = case.get("money_column", "cost")
    if column not in found.tallies[0].money:
        assert "money" not in case
        return
    landed = total(Decimal(text) for text in case.get("money", []))
    quarantined = total(Decimal(text) for text in case.get("quarantined_money", []))
    assert found.money(column, "landed") == landed
    assert found.money(column, "quarantined") == quarantined
    assert found.money(column, "read") == total((landed, quarantined))
    assert sum(t.money[column].unparsable_count for t in found.tallies) == case.get("unparsable", 0)
    values = [row[column] for row in found.rows if row[column] is not None]
    assert total(values) == landed


def _check_rows(rows: list[dict[str, Any]], expected: list[dict[str, str | None]] | None) -> None:
    for row, wanted in zip(rows, expected or rows, strict=True):
        shown = {name: None if row[name] is None else str(row[name]) for name in wanted}
        assert shown == (wanted if expected else shown)


def test_every_file_is_described() -> None:
    assert sorted(case["file"] for case in FILES) == sorted(path.name for path in CORPUS.iterdir())
    assert all(case["what"] for case in FILES)
