"""HTTP servers of providers on free ports, served by a thread beside the test."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
from aiohttp import web

from libs.common.secrets import SecretText
from libs.local.openai.server import Dials, OpenAiServer
from services.ingest.chunks import Chunk
from services.ingest.columns import TargetColumn
from services.ingest.sources.openai import OpenAi
from services.ingest.sources.request_pace import RequestPace
from services.ingest.sources.source import Interval, RawBatch, Reading, Splitting

KEY = "sk-admin-acme-demo"
TODAY = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
USAGE_GROUPS = ("project_id", "user_id", "api_key_id", "model")
COST_GROUPS = ("project_id", "line_item")
COLUMNS = tuple(
    TargetColumn.parse(name, type_)
    for name, type_ in {
        "usage_date": "DATE",
        "bucket_start": "TIMESTAMP",
        "bucket_end": "TIMESTAMP",
        "object": "STRING",
        "project_id": "STRING",
        "model": "STRING",
        "line_item": "STRING",
        "input_tokens": "INT64",
        "amount_value": "BIGNUMERIC",
        "amount_currency": "STRING",
        "extra": "JSON",
    }.items()
)


@contextlib.contextmanager
def serving(application: web.Application) -> Iterator[str]:
    """Serve an application on loopback; yield its address, `http://127.0.0.1:port`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    try:
        asyncio.run_coroutine_threadsafe(_start(runner), loop).result(10)
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _start(runner: web.AppRunner) -> None:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()


@dataclasses.dataclass(slots=True)
class Provider:
    """The local OpenAI server; `base_url` as a source has it."""

    server: OpenAiServer
    base_url: str

    def dial(self, **dials: Any) -> None:
        """Set dials, and forget what was asked."""
        self.server.dials = Dials(**dials)
        self.server.asked.clear()

    @property
    def asked(self) -> list[dict[str, str]]:
        return [dict(parameters) for parameters in self.server.asked]


@contextlib.contextmanager
def openai() -> Iterator[Provider]:
    """Run the local OpenAI server."""
    server = OpenAiServer()
    with serving(server.application()) as address:
        yield Provider(server, f"{address}/v1")


@dataclasses.dataclass(slots=True)
class Reader:
    """A source over HTTP whose waits take no time, and what it waited."""

    source: OpenAi
    waits: list[float]
    cancelled: threading.Event
    throttled: list[bool] = dataclasses.field(default_factory=list)

    def chunks(self, start: dt.datetime, end: dt.datetime) -> tuple[Chunk, ...]:
        """Return the plan of a window."""
        window = Interval(start=start, end=end)
        return self.source.plan(
            Splitting(columns=COLUMNS, window=window, chunk_bytes=1, spec_hash="spec")
        ).chunks

    def read(self, chunk: Chunk) -> list[RawBatch]:
        """Return the batches of a chunk."""
        reading = Reading(
            columns=COLUMNS, cancelled=self.cancelled, throttled=self.throttled.append
        )
        return list(self.source.read(chunk, reading))


def reader(
    base_url: str,
    http: httpx.Client,
    *,
    reports: Sequence[str] = ("usage/completions",),
    usage_groups: tuple[str, ...] = USAGE_GROUPS,
    cost_groups: tuple[str, ...] = COST_GROUPS,
    key: str = KEY,
    per_minute: float = 0.0,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    allow_private_addresses: bool = True,
) -> Reader:
    """Return a reader of an organization's reports."""
    waits: list[float] = []
    cancelled = threading.Event()

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return cancelled.is_set()

    source = OpenAi(
        base_url=base_url,
        reports=tuple(reports),
        group_by={"usage/completions": usage_groups, "costs": cost_groups},
        secret=lambda: SecretText(key),
        http=http,
        wait=wait,
        now=now,
        pace=RequestPace(per_minute, lambda: sum(waits)),
        allow_private_addresses=allow_private_addresses,
    )
    return Reader(source, waits, cancelled)
