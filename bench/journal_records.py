"""Records as runs write them: of a size that real runs have, for the journal's figures."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from libs.common.names import PipelineName
from services.orchestrator.runs import records as r
from services.orchestrator.specs import (
    ColumnSpec,
    FileOptions,
    PipelineSpec,
    SourceSpec,
    TargetSpec,
    WriteSpec,
)

PIPELINE: Final = PipelineName("bench", "p_usage")
COLUMNS: Final = ("cost", "list_cost")
RULES: Final = 3
SPEC: Final = PipelineSpec(
    tenant=PIPELINE.tenant,
    pipeline=PIPELINE.pipeline,
    source=SourceSpec(source_id="usage", options=FileOptions(path="*.csv", format="csv")),
    schema_id="usage",
    columns=(
        *(ColumnSpec(name=f"column_{n}", type="STRING") for n in range(20)),
        *(ColumnSpec(name=name, type="BIGNUMERIC") for name in COLUMNS),
    ),
    target=TargetSpec(dataset="raw", table="usage"),
    write=WriteSpec(mode="replace", scope=("_source",)),
)
MESSAGE: Final = (
    '{"chunkId": "%s", "inputId": "exports/2026-11/part.csv", "file": {"path": "exports/2026-11/part.csv",'
    ' "startByte": "67108864", "endByte": "134217728", "header": "column_0,column_1,cost", "format": "csv"}}'
)


def created(number: int = 0) -> r.RunCreated:
    return r.RunCreated(
        spec=SPEC.canonical(),
        spec_hash=SPEC.spec_hash,
        request_id=f"00000000-0000-0000-0000-{number:012}",
        request_digest="d" * 64,
        request_facts={"window_time": "", "reload": "false"},
        created_by="k_bench",
    )


def planned(count: int, time: datetime) -> r.RunPlanned:
    names = [f"{n:032x}" for n in range(count)]
    chunks = tuple(
        r.Chunk(
            chunk_id=name,
            input_id=f"exports/2026-11/part-{name}.csv",
            content_hash="c" * 64,
            estimated_bytes=67_108_864,
            message=MESSAGE % name,
        )
        for name in names
    )
    scope = r.scope_of_inputs([chunk.input_id for chunk in chunks])
    return r.RunPlanned(chunks=chunks, scope=scope, ingest_time=time)


def completed(number: int) -> r.ChunkCompleted:
    stream = "projects/local/datasets/bench_staging/tables/usage__r/streams/" + "s" * 32
    money = tuple(
        r.Money(
            column=name, read=Decimal("54660.7345458"), landed=Decimal("53006.7379684"),
            quarantined=Decimal("1653.9965774"), quarantined_row_count=7,
        )
        for name in COLUMNS
    )  # fmt: skip
    metrics = tuple(
        r.Metric(rule_id=f"rule_{n}", element_count=250_000, missing_count=0, unexpected_count=0)
        for n in range(RULES)
    )
    landed = r.Landed(
        chunk_id=f"{number:032x}",
        chunk_attempt=1_000_000 + number,
        stream=stream,
        quarantine_stream=stream,
        read_row_count=250_000,
        landed_row_count=249_993,
        quarantined_row_count=7,
        read_bytes=67_108_864,
        money=money,
        metrics=metrics,
    )
    return r.ChunkCompleted(landed=landed, worker="127.0.0.1:50061")


def open_run(number: int, chunks: int, time: datetime) -> Iterator[tuple[str, r.Detail]]:
    """Yield the records of a run of which all chunks but the last are done, each with its name."""
    name = str(PIPELINE.run(f"r{number:06}"))
    yield name, created(number)
    yield name, r.RunPlanning()
    yield name, planned(chunks, time)
    for chunk in range(chunks - 1):
        yield name, completed(chunk)


def life(time: datetime) -> Iterator[r.Detail]:
    """Yield the records of a run of one chunk, from its beginning to its end."""
    scope = r.scope_of_inputs([f"exports/2026-11/part-{0:032x}.csv"])
    yield created()
    yield r.RunPlanning()
    yield planned(1, time)
    yield completed(0)
    yield r.RunIngested()
    yield r.RunAudited(success=True)
    yield r.RunPublishing(
        scope=scope, job_id="cvg-bench-r-publish-1", statement="MERGE " + "x" * 3000
    )
    yield r.RunPublished()
    yield r.RunSucceeded()
