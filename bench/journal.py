"""`python -m bench.journal`: what the journal and a start from it take, on the embedded BigQuery.

Recovery of many open runs, a long history with and without a checkpoint, state changes a second, and how soon runs move again after kill -9.
Prints a table; `--quick` takes a tenth of the runs; `--write` puts it into docs/journal.md.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.data import FOLDER
from bench.figures import Figure
from bench.journal_records import PIPELINE, life, open_run
from bench.machine import cpu_seconds
from bench.pages import report
from bench.runs import Mesh, mesh
from bench.sections import tiny_files
from bench.tenants import TENANT, Pipeline
from libs.bigquery import jobs
from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.columns import Column
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.ids import DatasetId
from libs.bigquery.tables import ensure_table
from libs.client import AsyncClient
from libs.common import errors
from libs.common.garbage import made_to_stay
from libs.local.mesh.states import State
from libs.metadata.tables import DATASET, TABLES
from services.orchestrator.elections.elections import Term
from services.orchestrator.elections.file_election import FileElection
from services.orchestrator.journal.bigquery_journal import BigQueryJournal
from services.orchestrator.journal.checkpoints import Checkpoints
from services.orchestrator.journal.history import History
from services.orchestrator.journal.rows import records_of
from services.orchestrator.projections.bigquery_published import BigQueryPublished
from services.orchestrator.runs.records import VERSION, EpochOpened, Record
from tests.support.engine import Engine, stored_engine

CHUNKS: Final = 50
WRITERS: Final = 200
"""Runs that change at once: more than one append takes."""

CHANGING_SECONDS: Final = 10.0
KILLS: Final = 3
TINY: Final = 600
APPEND: Final = 500
"""Records of an append while a journal is made; only the product's own appends are measured."""


@dataclasses.dataclass(slots=True)
class Stored:
    """An engine with empty metadata tables."""

    engine: Engine
    bq: BigQuery

    def journal(self) -> BigQueryJournal:
        return BigQueryJournal(self.bq, streams_end_with_server=True)


@contextlib.contextmanager
def stored() -> Iterator[Stored]:
    """Start an engine on a new directory, its metadata tables made."""
    with (
        stored_engine() as engine,
        connect(Connection("local", "US", engine.rest, engine.grpc)) as bq,
    ):
        metadata = DatasetId("local", DATASET)
        ensure_dataset(bq, metadata)
        for table in TABLES:
            columns = [Column(c.name, c.type, c.mode) for c in table.columns]
            ensure_table(bq, metadata.table(table.name), columns)
        yield Stored(engine, bq)


async def fill(place: Stored, folder: Path, runs: int) -> int:
    """Journal so many open runs as an orchestrator that then ended; return the records."""
    election, journal = FileElection(folder), place.journal()
    term = await election.win()
    _, stream = await journal.open(term)
    await election.announce(stream)
    now = datetime.now(UTC)
    details = [("", EpochOpened()), *(x for n in range(runs) for x in open_run(n, CHUNKS, now))]
    records = [
        Record(event_id=f"e{n}", position=n, epoch=term.epoch, run=run, time=now, detail=detail)
        for n, (run, detail) in enumerate(details, start=1)
    ]
    for start in range(0, len(records), APPEND):
        await journal.append(records[start : start + APPEND])
    await journal.close()
    await election.close()
    return len(records)


def started(place: Stored, folder: Path) -> dict[str, float]:
    """Start an orchestrator as a process.

    Returns:
        When it said what, in seconds since its start; `cpu` and `engine` are the processor's seconds
        until it led, its own and those of the embedded BigQuery.
    """
    prefix = "CONVERGENCE_ORCHESTRATOR_"
    settings = {
        "AUTH": "127.0.0.1:9",
        "QUALITY": "127.0.0.1:9",
        "CONFIGS": str(folder),
        "LEASE": str(folder),
        "STREAMS_END_WITH_SERVER": "true",
        "BIGQUERY_ENDPOINT": place.engine.rest,
        "BIGQUERY_STORAGE_ENDPOINT": place.engine.grpc,
    }
    began, used = time.monotonic(), cpu_seconds(place.engine.process.pid)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "services.orchestrator"],
        env=os.environ | {prefix + name: value for name, value in settings.items()},
        stdout=subprocess.PIPE,
        text=True,
    )
    said: dict[str, float] = {}
    assert process.stdout is not None, "it is piped"
    try:
        for line in process.stdout:
            for event in ("server.started", "leadership.begun"):
                if f'"{event}"' in line:
                    said[event] = time.monotonic() - began
            if "leadership.begun" in said:
                said["cpu"] = cpu_seconds(process.pid)
                said["engine"] = cpu_seconds(place.engine.process.pid) - used
                return said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    raise RuntimeError("the orchestrator ended before it led")


def recovery(runs: int) -> list[Figure]:
    """From the start of a process until it leads, over a journal of open runs."""
    with stored() as place, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = asyncio.run(fill(place, folder, runs))
        took = [started(place, folder) for _ in range(3)]
        parts = asyncio.run(read(place))
    middle = {name: statistics.median(one[name] for one in took) for name in took[0]}
    detail = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items())
    return [
        Figure(
            what=f"start of an orchestrator over {runs:,} open runs of {CHUNKS} chunks, until it leads",
            value=middle["leadership.begun"],
            unit="s",
            bar=6,
            detail=f"{count:,} records; of it the processor {middle['cpu']:.1f} s, and {middle['engine']:.1f} s "
            f"of the engine's beside; process up {middle['server.started']:.2f} s; alone: {detail}",
        )
    ]


async def read(place: Stored) -> dict[str, float]:
    """Read the journal as a start does; return the seconds of each step."""
    with made_to_stay():
        marks = [time.monotonic()]
        rows = await place.journal()._rows("TRUE")
        marks.append(time.monotonic())
        records = records_of(rows)
        marks.append(time.monotonic())
        history(place.journal(), 99).load(records)
        marks.append(time.monotonic())
    names = ("query", "parse", "fold")
    return {name: marks[i + 1] - marks[i] for i, name in enumerate(names)}


async def finished(place: Stored, runs: int, open_runs: int) -> int:
    """Journal so many runs that ended and some that are open; return the records."""
    journal = place.journal()
    await journal.open(Term(epoch=1))
    now = datetime.now(UTC) - timedelta(days=3)
    ended = ((str(PIPELINE.run(f"e{n}")), detail) for n in range(runs) for detail in life(now))
    begun = (x for n in range(open_runs) for x in open_run(n, CHUNKS, now))
    details = [("", EpochOpened(version=VERSION)), *ended, *begun]
    records = [
        Record(event_id=f"e{n}", position=n, epoch=1, run=run, time=now, detail=detail)
        for n, (run, detail) in enumerate(details, start=1)
    ]
    for start in range(0, len(records), APPEND):
        await journal.append(records[start : start + APPEND])
    await journal.close()
    return len(records)


async def opened(place: Stored, epoch: int) -> tuple[History, float, float]:
    """Read the journal as a start does; return seconds, and the processor's seconds in this process."""
    journal = place.journal()
    began, busy = time.monotonic(), time.process_time()
    records, _ = await journal.open(Term(epoch=epoch))
    made = history(journal, epoch)
    made.load(records)
    return made, time.monotonic() - began, time.process_time() - busy


async def checkpointed(place: Stored, made: History) -> int:
    """Let all that ended leave, and store a checkpoint; return how many runs are kept."""
    await BigQueryPublished(place.bq, made).declare_whole()
    Checkpoints(made, written=lambda _: True).write()
    writer = asyncio.create_task(made.write())
    await asyncio.sleep(0)
    await made.settled(made.ledger.position)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    return len(made.ledger.runs)


def checkpoints(runs: int) -> list[Figure]:
    """Reading the journal at a start, over a long history, before and after a checkpoint."""
    with stored() as place:
        count = asyncio.run(finished(place, runs, runs // 100))
        made, whole, busy = asyncio.run(opened(place, 2))
        kept = asyncio.run(checkpointed(place, made))
        _, short, less = asyncio.run(opened(place, 3))
    what = f"reading a journal of {runs:,} runs, {kept:,} of them open with {CHUNKS} chunks"
    detail = f"{count:,} records"
    return [
        Figure(
            what=f"{what}, all of it",
            value=whole,
            unit="s",
            detail=f"{detail}; processor {busy:.1f} s",
        ),
        Figure(
            what=f"{what}, from its checkpoint",
            value=short,
            unit="s",
            detail=f"processor {less:.1f} s",
        ),
    ]


def history(journal: BigQueryJournal, epoch: int) -> History:
    ids = iter(range(10**9))
    return History(
        journal, epoch=epoch, clock=lambda: datetime.now(UTC), new_id=lambda: f"{epoch}-{next(ids)}"
    )


@contextlib.asynccontextmanager
async def writing(place: Stored) -> AsyncGenerator[History]:
    """A history that is written."""
    journal = place.journal()
    await journal.open(Term(epoch=1))
    made = history(journal, 1)
    writer = asyncio.create_task(made.write())
    try:
        yield made
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        await journal.close()


async def change(place: Stored) -> tuple[float, int]:
    """Let many runs live at once; return durable records a second, and how many there were."""
    async with writing(place) as made:
        end = time.monotonic() + CHANGING_SECONDS

        async def live(number: int) -> None:
            for again in range(10**6):
                run = PIPELINE.run(f"r{number}_{again}")
                for detail in life(datetime.now(UTC)):
                    if time.monotonic() >= end:
                        return
                    await made.record(run, detail)

        began = time.monotonic()
        await asyncio.gather(*(live(n) for n in range(WRITERS)))
        return made.durable / (time.monotonic() - began), made.durable


def changes() -> list[Figure]:
    """State changes a second that the journal sustains."""
    with stored() as place:
        rate, count = asyncio.run(change(place))
    return [
        Figure(
            what="state changes a second, durable, at most 50 an append",
            value=rate,
            unit="/s",
            bar=1000,
            at_least=True,
            detail=f"{count:,} records of {WRITERS} runs at a time in {CHANGING_SECONDS:.0f} s",
        )
    ]


def kills() -> list[Figure]:
    """Kill the orchestrator in the middle of runs: from its restart until a run moves."""
    files, _ = tiny_files(TINY)
    pipeline = Pipeline(id="tiny", files=files, format="csv", mode="replace")
    with mesh("journal", [pipeline]) as up:
        took = [asyncio.run(kill(up)) for _ in range(KILLS)]
    whole = [moved for moved, _ in took]
    dead = [started for _, started in took]
    return [
        Figure(
            what="kill -9 of the orchestrator until a run moves, the process's own start included",
            value=statistics.median(whole),
            unit="s",
            bar=3,
            detail=f"{min(whole):.2f} to {max(whole):.2f} s; of it until the new one leads "
            f"{statistics.median(dead):.2f} s; {TINY} chunks, {KILLS} times",
        )
    ]


async def kill(up: Mesh) -> tuple[float, float]:
    """Kill the orchestrator while a run reads; return seconds until a record of it, and of the epoch."""
    async with AsyncClient(up.state.addresses()["edge"], up.key) as client:
        run = await client.runs.start(f"tenants/{TENANT}/pipelines/tiny")
        while (await client.runs.get(run.name)).progress.done_chunk_count < TINY // 20:  # noqa: ASYNC110 over gRPC
            await asyncio.sleep(0.02)
    killed = datetime.now(UTC)
    os.kill(pid(up, "orchestrator"), signal.SIGKILL)
    bq = connect(Connection("local", "US", *addresses(up)))
    run_id = run.name.rpartition("/")[2]
    statement = (
        "SELECT MIN(IF(run_id IS NULL, event_time, NULL)) AS led,"
        f" MIN(IF(run_id = '{run_id}', event_time, NULL)) AS moved FROM metadata.run_events"
        f" WHERE event_time > TIMESTAMP '{killed.isoformat(sep=' ')}'"
        " AND epoch = (SELECT MAX(epoch) FROM metadata.run_events)"
    )
    with contextlib.closing(bq):
        async with asyncio.timeout(60):
            while not (found := jobs.query(bq, statement)[0])["moved"]:  # noqa: ASYNC110 over REST
                await asyncio.sleep(0.2)
    async with AsyncClient(up.state.addresses()["edge"], up.key) as client:
        with contextlib.suppress(errors.FailedPrecondition):  # it may be past cancelling by now
            await client.runs.cancel(run.name, reason="measured")
        await client.runs.wait(run.name)
    moved, led = found["moved"], found["led"]
    assert isinstance(moved, datetime)
    assert isinstance(led, datetime)
    return (moved - killed).total_seconds(), (led - killed).total_seconds()


def pid(up: Mesh, name: str) -> int:
    """Return the process id that a process has now: the supervisor starts it anew."""
    now = State.read(Path(up.state.folder))
    assert now is not None, "the mesh is up"
    identity = now.process(name).identity
    assert identity is not None, "it runs"
    return identity.pid


def addresses(up: Mesh) -> tuple[str, str]:
    known = up.state.addresses()
    return f"http://{known['bigquery_rest']}", known["bigquery_grpc"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.journal", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument(
        "--only", default="recovery,checkpoints,changes,kills", help="parts, by comma"
    )
    parser.add_argument("--write", action="store_true", help="put the table into its page")
    asked = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    parts = {
        "recovery": lambda: recovery(100 if asked.quick else 1000),
        "checkpoints": lambda: checkpoints(500 if asked.quick else 10_000),
        "changes": changes,
        "kills": kills,
    }
    figures = [figure for name in asked.only.split(",") for figure in parts[name]()]
    return report("bench.journal", figures, write=asked.write)


if __name__ == "__main__":
    sys.exit(main())
