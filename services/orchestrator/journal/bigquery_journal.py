"""The journal in BigQuery: one COMMITTED stream an epoch on `metadata.run_events`."""

import asyncio
import contextlib
import datetime as dt
import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import pyarrow as pa
import structlog

from libs.bigquery import jobs, streams, tables
from libs.bigquery.client import BigQuery
from libs.bigquery.columns import Column, arrow_schema
from libs.bigquery.failures import OffsetOutOfRange, StreamSealed, StreamsGone, TableNotFound
from libs.bigquery.ids import TableId
from libs.bigquery.jobs import Row
from libs.common.errors import FailedPrecondition, Unavailable
from libs.common.names import RunName
from libs.metadata.tables import DATASET, PUBLISHED, RUN_EVENTS
from services.orchestrator.archive.bigquery_archive import PLATFORM, WHOLE
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.journal import JournalSealed, RecordTooLarge
from services.orchestrator.journal.rows import (
    COLUMNS,
    kept_of_rows,
    parts_of_rows,
    payload_of,
    records_of,
    row_of,
)
from services.orchestrator.runs.checkpoints import kept_runs, parts_in, versions_in
from services.orchestrator.runs.records import Record

LAG_SECONDS: Final = 30.0
"""How long reads may lag behind what finalize said was written."""

LIFETIME: Final = dt.timedelta(hours=96)
"""How long after its last record a stream has ended for sure: BigQuery says three days."""

LARGEST_RECORD_BYTES: Final = 6 * 1024 * 1024
"""BigQuery refuses requests of more than 10 MB."""

FRAME_BYTES: Final = 1024
"""More than the columns beside the payload take."""

MARGIN: Final = dt.timedelta(days=2)
"""How far the clocks of two orchestrators may lie apart where partitions are left unread."""

RUNS_A_QUERY: Final = 2000

T = TypeVar("T")

log = structlog.get_logger()


class NotInitialized(FailedPrecondition):
    """The metadata tables are not there yet."""

    reason = "NOT_INITIALIZED"

    def __init__(self) -> None:
        super().__init__(
            "the platform is not initialised; run `convergence admin init`",
            command="convergence admin init",
        )


class BigQueryJournal:
    """One epoch's way into `metadata.run_events`.

    Args:
        bigquery: Where.
        streams_end_with_server: True where streams end with BigQuery's process (the embedded one),
            so that a stream that is gone is sealed.
        observe: Told the seconds that each append took.
    """

    def __init__(
        self,
        bigquery: BigQuery,
        *,
        streams_end_with_server: bool,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._bq = bigquery
        self._observe = observe
        self._ends = streams_end_with_server
        self._table = TableId(bigquery.connection.project, DATASET, RUN_EVENTS.name)
        self._schema = arrow_schema(Column(c.name, c.type, c.mode) for c in RUN_EVENTS.columns)
        self._stream: streams.CommittedStream | None = None
        self._offset = 0
        self._thread = ThreadPoolExecutor(1, "journal")
        """Appends wait for no other call: everybody waits for them."""

    async def open(self, term: Term) -> tuple[list[Record], str]:
        try:
            await self._do(tables.get_columns, self._table)
        except TableNotFound as error:
            raise NotInitialized from error
        await self._visible(term.predecessor_epoch, await self._seal(term))
        if (last := await self._last_writer()) and last.predecessor != term.predecessor:
            await self._visible(last.predecessor_epoch, await self._seal(last))
        records = await self._read()
        name = await self._do(streams.create_committed, self._table)
        self._stream = streams.CommittedStream(self._bq, name, self._schema)
        self._offset = 0
        return records, name

    @property
    def stream(self) -> str:
        return self._stream.stream if self._stream else ""

    async def _last_writer(self) -> Term | None:
        """Return a term after that of whoever began to write to the journal last, as it said itself."""
        rows = await self._do(
            jobs.query,
            f"SELECT epoch, event_date FROM {self._table.sql} WHERE event_type = 'epoch.opened'"
            " ORDER BY position DESC LIMIT 1",
        )
        if not rows:
            return None
        epoch, day = int(str(rows[0]["epoch"])), rows[0]["event_date"]
        found = await self._rows(
            f"event_type = 'epoch.opened' AND epoch = {epoch} AND event_date = DATE '{day}'"
        )
        stream = str(json.loads(str(found[-1]["payload"])).get("stream", ""))
        if not stream:
            return None
        return Term(epoch=epoch + 1, predecessor=stream, predecessor_epoch=epoch)

    async def _seal(self, term: Term) -> int:
        """Finalize the predecessor's stream; return how many rows it has, 0 if nobody knows."""
        if not term.predecessor:
            return 0
        try:
            return await self._do(streams.finalize, term.predecessor)
        except StreamsGone as error:
            if self._ends or await self._silent(term):
                return 0
            raise Unavailable(
                f"journal stream {term.predecessor} of epoch {term.predecessor_epoch} is gone before "
                "its lifetime; not leading",
                reason="STREAM_GONE",
                stream=term.predecessor,
            ) from error

    async def _silent(self, term: Term) -> bool:
        """Return whether the predecessor wrote last so long ago that its stream may be gone.

        By BigQuery's clock: a leader writes at least every KEPT_FOR, or can write nothing any more.
        One that wrote nothing at all announced its stream so long ago, or nobody knows.
        """
        hours = int(LIFETIME / dt.timedelta(hours=1))
        announced = term.announced or dt.datetime.max.replace(tzinfo=dt.UTC)
        statement = (
            "SELECT COUNT(*) AS written, COUNTIF(event_time > TIMESTAMP_SUB(CURRENT_TIMESTAMP(),"
            f" INTERVAL {hours} HOUR)) AS late,"
            f" @announced < TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL {hours} HOUR) AS old"
            f" FROM {self._table.sql} WHERE epoch = {term.predecessor_epoch}"
        )
        (row,) = await self._do(jobs.query, statement, {"announced": announced})
        return not row["late"] and bool(row["written"] or row["old"])

    async def _visible(self, epoch: int, written: int) -> None:
        """Wait until queries see as many records of the sealed epoch as finalize said."""
        statement = f"SELECT COUNT(*) AS seen FROM {self._table.sql} WHERE epoch = {epoch}"
        waited = 0.0
        while written:
            (row,) = await self._do(jobs.query, statement)
            if int(str(row["seen"])) >= written:
                return
            if waited >= LAG_SECONDS:
                raise Unavailable(
                    f"reads of the journal lag behind epoch {epoch} by more than {LAG_SECONDS} s",
                    reason="WAREHOUSE_UNAVAILABLE",
                )
            await asyncio.sleep(0.5)
            waited += 0.5

    async def _read(self) -> list[Record]:
        """Return what follows the last checkpoint and the records of the runs that it keeps.

        All records where there is none, or where `metadata.published`, which has what it left out,
        is not whole.
        """
        last = await self._last_checkpoint()
        if last is None:
            return await self._whole()
        mark, day = last
        rows = await self._rows(f"position > {mark} AND event_date >= DATE '{day - MARGIN}'")
        (counted,) = await self._do(
            jobs.query,
            f"SELECT COUNT(*) AS found, MAX(position) AS last FROM {self._table.sql}",
        )
        if counted["found"] != counted["last"] or len(rows) + mark != counted["last"]:
            log.warning("checkpoint.ignored", mark=mark, cause="positions have gaps")
            return await self._whole()
        return await self._from(mark, rows)

    async def _whole(self) -> list[Record]:
        return await self._do(self._stream_whole)

    def _stream_whole(self, bq: BigQuery) -> list[Record]:
        with contextlib.closing(jobs.stream(bq, self._select("TRUE"), timeout=120.0)) as rows:
            return records_of(rows)

    async def _from(self, mark: int, rows: list[Row]) -> list[Record]:
        parts = parts_in(await asyncio.to_thread(parts_of_rows, rows, mark), mark)
        versions = versions_in(parts)
        after = await asyncio.to_thread(records_of, rows, after=mark, versions=versions)
        before: list[Record] = []
        kept = kept_runs(parts)
        names = [RunName.parse(name) for name in kept]
        for some in run_batches(names):
            since = min(kept[str(name)].begun for name in some) - MARGIN
            found = await self._do(
                jobs.query,
                f"SELECT {COLUMNS} FROM {self._table.sql} WHERE position <= {mark}"
                f" AND event_date >= DATE '{since}' AND tenant_id IN UNNEST(@tenants)"
                " AND run_id IN UNNEST(@runs)",
                parameters_of(some),
                timeout=120.0,
            )
            before += await asyncio.to_thread(kept_of_rows, found, kept, versions)
        counts = {name: one.record_count for name, one in kept.items()}
        if dict(Counter(record.run for record in before)) != counts:
            log.warning("checkpoint.ignored", mark=mark, cause="kept runs have other records")
            return await self._whole()
        return [*sorted(before, key=lambda record: record.position), *after]

    async def _last_checkpoint(self) -> tuple[int, dt.date] | None:
        """Return the mark of the last whole checkpoint that may be used, and the day of its parts."""
        whole = TableId(self._table.project, DATASET, PUBLISHED.name).sql
        rows = await self._do(
            jobs.query,
            f"SELECT position, event_date FROM {self._table.sql}"
            " WHERE event_type = 'checkpoint.completed' ORDER BY position DESC LIMIT 1",
        )
        if not rows:
            return None
        try:
            marked = await self._do(
                jobs.query,
                f"SELECT kind FROM {whole} WHERE tenant_id = '{PLATFORM}' AND kind = '{WHOLE}'",
            )
        except TableNotFound:
            marked = []
        if not marked:
            log.warning("checkpoint.ignored", cause="metadata.published is not whole")
            return None
        day = rows[0]["event_date"]
        assert isinstance(day, dt.date)
        (row,) = await self._rows(f"position = {rows[0]['position']} AND event_date = DATE '{day}'")
        return int(json.loads(str(row["payload"]))["mark"]), day

    async def _rows(self, where: str) -> list[Row]:
        return await self._do(jobs.query, self._select(where), timeout=120.0)

    def _select(self, where: str) -> str:
        return f"SELECT {COLUMNS} FROM {self._table.sql} WHERE {where} ORDER BY position"

    def size_of(self, record: Record) -> int:
        size = len(payload_of(record.detail).encode())
        if size > LARGEST_RECORD_BYTES:
            raise RecordTooLarge(record.detail.type, size, LARGEST_RECORD_BYTES)
        return size + FRAME_BYTES

    async def append(self, records: Sequence[Record]) -> None:
        assert self._stream is not None, "open comes first"
        append = functools.partial(self._append, self._stream, records)
        began = time.monotonic()
        try:
            self._offset = await asyncio.get_running_loop().run_in_executor(self._thread, append)
            self._observe(time.monotonic() - began)
        except (StreamSealed, StreamsGone, OffsetOutOfRange) as error:
            raise JournalSealed(
                "the journal's stream has ended; another orchestrator is active or BigQuery was "
                "restarted: this one stops and is started again",
                stream=self._stream.stream,
            ) from error

    def _append(self, stream: streams.CommittedStream, records: Sequence[Record]) -> int:
        rows = [row_of(record) for record in records]
        return stream.append_at(self._offset, pa.RecordBatch.from_pylist(rows, schema=self._schema))

    async def close(self) -> None:
        if self._stream is not None:
            await asyncio.to_thread(self._stream.close)

    async def _do(self, call: Callable[..., T], *args: object, **kwargs: object) -> T:
        return await asyncio.to_thread(call, self._bq, *args, **kwargs)


def run_batches(names: Sequence[RunName]) -> Iterator[Sequence[RunName]]:
    """Yield names in parts that one query asks for."""
    for start in range(0, len(names), RUNS_A_QUERY):
        yield names[start : start + RUNS_A_QUERY]


def parameters_of(names: Sequence[RunName]) -> dict[str, list[str]]:
    """Return the parameters `tenants` and `runs` of a query for a part of them."""
    return {
        "tenants": sorted({name.tenant for name in names}),
        "runs": [name.run for name in names],
    }
