"""Requests as the orchestrator sends them, to be changed by a test."""

import datetime as dt
from typing import Any

from convergence.ingest.v1 import chunk_pb2, source_pb2
from convergence.ingest.v1.ingest_service_pb2 import Column, IngestChunkRequest, PlanChunksRequest
from google.protobuf.timestamp_pb2 import Timestamp

RUN = "tenants/acme/pipelines/p_usage/runs/r1"
PIPELINE = "tenants/acme/pipelines/p_usage"


def stamp(moment: dt.datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def file_source(path: str = "f.csv", **fields: Any) -> source_pb2.Source:
    """Return a CSV source, or another that the fields say."""
    options = {"format": source_pb2.FILE_FORMAT_CSV} | fields
    return source_pb2.Source(source_id="s", file=source_pb2.FileSource(path=path, **options))


def columns(*specs: str) -> list[Column]:
    """Return columns written as `name TYPE` or `name TYPE MODE`."""
    return [Column(name=p[0], type=p[1], mode="".join(p[2:])) for p in map(str.split, specs)]


def plan_request(**fields: Any) -> PlanChunksRequest:
    """Return a request to split a CSV file of tenant acme."""
    plain: dict[str, Any] = {
        "parent": PIPELINE,
        "source": file_source(),
        "columns": columns("a STRING"),
        "spec_hash": "spec",
    }
    return PlanChunksRequest(**(plain | fields))


def chunk(**fields: Any) -> chunk_pb2.Chunk:
    """Return a chunk of a CSV file."""
    plain: dict[str, Any] = {
        "chunk_id": "c1",
        "input": chunk_pb2.Input(input_id="f.csv"),
        "byte_range": chunk_pb2.ByteRange(start=2, end=9, header=["a"]),
    }
    return chunk_pb2.Chunk(**(plain | fields))


def ingest_request(**fields: Any) -> IngestChunkRequest:
    """Return a request to ingest a chunk of tenant acme, with an hour left."""
    now = dt.datetime.now(dt.UTC)
    plain: dict[str, Any] = {
        "run": RUN,
        "run_attempt": 1,
        "chunk_attempt": 1_000_001,
        "epoch": 1,
        "source": file_source(),
        "chunk": chunk(),
        "columns": columns("a STRING"),
        "table": "local.acme_staging.usage__r1",
        "quarantine_table": "local.acme_raw.usage__quarantine",
        "staging": True,
        "snapshot": 7,
        "ingest_time": stamp(now),
        "deadline": stamp(now + dt.timedelta(hours=1)),
    }
    return IngestChunkRequest(**(plain | fields))
