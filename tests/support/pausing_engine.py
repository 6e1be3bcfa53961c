"""The embedded BigQuery, whose changes of a table can be stopped half-way; see `pausing.py`.

Runs in the engine's environment: `python -m tests.support.pausing_engine PAUSES [engine's options]`.
When it finds `PAUSES/t`, a write to table `t` has stored its rows and not committed them, a
statement or call has made or dropped `t` and not yet its entry in the catalog, and a job with the
id `t` has run and is not recorded. It says `PAUSES/t.reached`, and goes on once `PAUSES/t` is gone.
PENDING streams are older by the seconds in `PAUSES/later.clock`. Each text that is parsed while there
is a `PAUSES/parsed.texts` gets a line there, as does each look at all that lives for garbage in a
`PAUSES/garbage.looks`. PAUSES is its home as well, where DuckDB finds no extension that this
machine's user has installed.
"""

import functools
import gc
import json
import os
import runpy
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.models import JobMeta, TableMeta
from bqemulator.domain.events import DomainEvent, EventBus, TableDataChanged
from sqlglot.parser import Parser

from libs.local.engine import lifetimes
from tests.support.pausing import LATER, LOOKED, PARSED

POLL_SECONDS = 0.005


def stop_where_told(pauses: Path) -> None:
    """Let what stands between the two halves of a change wait."""
    os.environ["HOME"] = str(pauses)
    idle = threading.Event()

    def wait(name: str) -> None:
        if (pause := pauses / name).exists():
            pause.with_suffix(".reached").touch()
            while pause.exists():
                idle.wait(POLL_SECONDS)

    def changed(_: EventBus, event: DomainEvent) -> None:
        if isinstance(event, TableDataChanged):
            wait(event.table_id)

    def made(_: DuckDBCatalogRepository, table: TableMeta) -> None:
        wait(table.table_id)

    def dropped(_: DuckDBCatalogRepository, _project: str, _dataset: str, table: str) -> None:
        wait(table)

    def ran(_: DuckDBCatalogRepository, job: JobMeta) -> None:
        wait(job.job_id)

    def now() -> float:
        clock = pauses / LATER
        return time.monotonic() + (float(clock.read_text()) if clock.exists() else 0)

    def parses(parser: Parser, _: object, text: str | None = None) -> None:
        if (texts := pauses / PARSED).exists():
            with texts.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps([type(parser).__name__, text]) + "\n")

    def looked(phase: str, look: dict[str, int]) -> None:
        whole = phase == "start" and look["generation"] == len(gc.get_threshold()) - 1
        if whole and (looks := pauses / LOOKED).exists():
            with looks.open("a", encoding="utf-8") as lines:
                lines.write("look\n")

    lifetimes.now = now
    gc.callbacks.append(looked)
    setattr(Parser, "parse", _after(parses, Parser.parse))  # noqa: B010
    EventBus.publish = _after(changed, EventBus.publish)
    DuckDBCatalogRepository.create_table = _after(made, DuckDBCatalogRepository.create_table)
    DuckDBCatalogRepository.delete_table = _after(dropped, DuckDBCatalogRepository.delete_table)
    DuckDBCatalogRepository.upsert_job = _after(ran, DuckDBCatalogRepository.upsert_job)


def _after(first: Callable[..., None], call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def delayed(*args: Any, **named: Any) -> Any:
        first(*args)
        return call(*args, **named)

    return delayed


if __name__ == "__main__":
    stop_where_told(Path(sys.argv.pop(1)))
    runpy.run_module("libs.local.engine", run_name="__main__", alter_sys=True)
