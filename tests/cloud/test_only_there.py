"""What is believed of the real BigQuery alone, and takes minutes to see."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from google.api_core.exceptions import ClientError, NotFound

from libs.bigquery.client import Connection, connect
from libs.bigquery.streams import CommittedStream
from tests.cloud.places import LOCATION, PROJECT
from tests.cloud.scratch import SECONDS, Scratch, reason_of
from tests.support.appending import COMMITTED
from tests.support.eventually import eventually

IDLE_SECONDS = 11 * 60
"""More than the ten minutes after which BigQuery ends an idle connection."""
GONE_WITHIN_SECONDS = 10 * 60
BUSY = {"rateLimitExceeded", "jobRateLimitExceeded", "quotaExceeded", "jobInternalError"}
"""Reasons that `libs/bigquery/failures.py` takes for a BigQuery that may answer later."""


def test_our_own_connection_goes_on_after_it_was_idle_for_eleven_minutes(at: Scratch) -> None:
    """Its pings are tolerated, and a connection that was ended is mended."""
    table = at.table()
    stream, rows = at.open(table, COMMITTED), pa.schema([("n", pa.int64())])
    with connect(Connection(PROJECT, LOCATION)) as bq:
        line = CommittedStream(bq, stream, rows)
        try:
            end = line.append_at(0, pa.RecordBatch.from_pydict({"n": [1]}, schema=rows))
            threading.Event().wait(IDLE_SECONDS)
            assert line.append_at(end, pa.RecordBatch.from_pydict({"n": [2]}, schema=rows)) == 2
        finally:
            line.close()
    assert at.seal(stream) == 2


def test_a_table_is_gone_soon_after_its_expiration(at: Scratch) -> None:
    table = at.client.get_table(at.table(), timeout=SECONDS)
    table.expires = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    at.client.update_table(table, ["expires"], timeout=SECONDS)

    def gone() -> bool:
        try:
            at.client.get_table(table.reference, timeout=SECONDS)
        except NotFound:
            return True
        return False

    assert eventually(gone, within=GONE_WITHIN_SECONDS)


def test_a_limit_of_rate_is_told_with_a_reason_that_says_to_come_back(at: Scratch) -> None:
    """Of statements at once on one table, and of columns that are added one after the other."""
    table = at.table()

    def refused(sql: str) -> str:
        try:
            at.run(sql)
        except ClientError as error:
            return reason_of(error)
        return ""

    inserts = [f"INSERT INTO `{table}` (n) VALUES ({n})" for n in range(30)]
    with ThreadPoolExecutor(len(inserts)) as threads:
        told = list(threads.map(refused, inserts))
    told += [refused(f"ALTER TABLE `{table}` ADD COLUMN c{n} STRING") for n in range(20)]
    assert set(told) - {""} <= BUSY
    assert at.count(table) == told[: len(inserts)].count("")
