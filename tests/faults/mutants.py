"""Bugs that only real processes can show, planted by `start.py` into a process that is starting.

Each has the module that it is planted into and the rule of `check` that is expected to find it.
"""

import asyncio
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

ORCHESTRATOR: Final = "services.orchestrator"
WORKER: Final = "services.ingest"
ENGINE: Final = "libs.local.engine"
OLD_SECONDS: Final = 20.0


def answers_before_it_is_flushed() -> None:
    """An orchestrator answers before its append is stored."""
    from services.orchestrator.journal.history import History  # noqa: PLC0415

    async def settled(self: Any, position: int) -> None:
        await asyncio.sleep(0)

    History.settled = settled  # type: ignore[method-assign]


def lock_not_held() -> None:
    """An orchestrator takes a lease that was written some time ago, whoever has locked it.

    At once, two would end each other before anything served.
    """
    from services.orchestrator.elections.file_election import FileElection  # noqa: PLC0415

    lock = FileElection._lock

    def free(file: int) -> bool:
        return lock(file) or time.time() - os.fstat(file).st_mtime > OLD_SECONDS

    FileElection._lock = staticmethod(free)  # type: ignore[method-assign]


def predecessor_not_sealed() -> None:
    """A successor reads the journal without sealing its predecessor's stream."""
    from services.orchestrator.journal.bigquery_journal import BigQueryJournal  # noqa: PLC0415

    async def seal(self: Any, term: Any) -> int:
        return 0

    BigQueryJournal._seal = seal  # type: ignore[method-assign]


def lost_commit_is_failure() -> None:
    """A commit whose answer was lost counts as one that did not happen."""
    from libs.bigquery import streams  # noqa: PLC0415
    from libs.bigquery.failures import StreamsGone  # noqa: PLC0415
    from services.orchestrator.warehouse.bigquery_warehouse import (  # noqa: PLC0415
        BigQueryWarehouse,
    )

    async def commit_target(self: Any, run: Any, names: Any) -> bool:
        table = self._target(run.spec)
        try:
            done = await asyncio.to_thread(streams.commit, self._bq, table, list(names))
        except StreamsGone:
            return False
        return not isinstance(done, streams.AlreadyCommitted)

    BigQueryWarehouse.commit_target = commit_target  # type: ignore[method-assign, assignment]


def appends_without_offset() -> None:
    """An append that was cut off is sent again without its offset."""
    from google.cloud.bigquery_storage_v1 import types  # noqa: PLC0415

    from libs.bigquery import append_line, append_wire  # noqa: PLC0415

    def encoded(stream: str, offset: int, rows: Any, *, schema: bytes | None = None) -> bytes:
        message = append_wire.encoded(stream, offset, rows, schema=schema)
        head = types.AppendRowsRequest(write_stream=stream, offset=offset)
        bare = types.AppendRowsRequest(write_stream=stream)
        size = len(types.AppendRowsRequest.serialize(head))
        return bytes(types.AppendRowsRequest.serialize(bare)) + message[size:]

    append_line.encoded = encoded  # type: ignore[attr-defined]
    append_line._misplaced = lambda response, request: None


def finalizes_too_early() -> None:
    """A worker finalizes its stream while appends are not acknowledged, and believes its own count."""
    from libs.bigquery import streams  # noqa: PLC0415
    from services.ingest import bigquery_sink  # noqa: PLC0415

    append = bigquery_sink.BigQueryStream.append

    def counted(self: Any, rows: Any) -> None:
        counts[id(self)] = counts.get(id(self), 0) + rows.num_rows
        append(self, rows)

    def finish(self: Any) -> tuple[str, int]:
        streams.finalize(self._bq, self._name)
        threading.Thread(target=self.abort, daemon=True).start()
        return self._name, counts.pop(id(self), 0)

    counts: dict[int, int] = {}
    bigquery_sink.BigQueryStream.append = counted  # type: ignore[method-assign]
    bigquery_sink.BigQueryStream.finish = finish  # type: ignore[method-assign]


def deaf_to_cancel() -> None:
    """A worker goes on with a chunk that was cancelled."""
    from services.ingest.ingestion import Ingestion  # noqa: PLC0415

    run = Ingestion.run

    def on(self: Any, source: Any, cancelled: Any, throttled: Any) -> Any:
        return run(self, source, threading.Event(), throttled)

    Ingestion.run = on  # type: ignore[method-assign]


def child_left_behind() -> None:
    """A worker starts a process that outlives it."""
    command = [sys.executable, "-c", "import time; time.sleep(900)"]
    subprocess.Popen(command, start_new_session=True)


def log_not_synced() -> None:
    """The engine's log of changes was never synced: what a crash leaves of it lacks its end."""
    folder = Path(sys.argv[sys.argv.index("--data-dir") + 1])
    for log in folder.glob("**/*.wal"):
        size = log.stat().st_size
        os.truncate(log, max(0, size - max(4096, size // 4)))


@dataclasses.dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug, the module whose processes have it, and what finds it."""

    plant: Callable[[], None]
    module: str
    found_by: Mapping[str, str]
    """Rules that are about the bug, and a piece of what they then say; empty where that may be anything."""


MUTANTS: Final = {
    mutant.plant.__name__: mutant
    for mutant in (
        Mutant(
            answers_before_it_is_flushed,
            ORCHESTRATOR,
            {"acknowledged": "", "reads": "", "rows": "", "one-outcome": "and then"},
        ),
        Mutant(lock_not_held, ORCHESTRATOR, {"one-leader": "was alive"}),
        Mutant(
            predecessor_not_sealed,
            ORCHESTRATOR,
            {"journal": "", "one-outcome": "", "acknowledged": "woke up and acknowledged"},
        ),
        Mutant(lost_commit_is_failure, ORCHESTRATOR, {"reads": "", "rows": ""}),
        Mutant(appends_without_offset, ORCHESTRATOR, {"journal": "is there"}),
        Mutant(finalizes_too_early, WORKER, {"reads": "", "rows": "", "progress": "FAILED"}),
        Mutant(deaf_to_cancel, WORKER, {"cancel": "after its cancel was answered"}),
        Mutant(child_left_behind, WORKER, {"leaks": "process is left"}),
        Mutant(
            log_not_synced, ENGINE, {"acknowledged": "", "journal": "", "rows": "", "reads": ""}
        ),
    )
}


def plant(name: str, module: str) -> None:
    """Plant the bug `name` if it belongs into `module`."""
    mutant = MUTANTS[name]
    if mutant.module == module:
        mutant.plant()
