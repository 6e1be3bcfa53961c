"""The `openai` source: organization usage and costs, by day.

Source: OpenAI's published API reference, `/organization/usage/completions` and
`/organization/costs`: pages of daily buckets, `limit` counts buckets, `page` is a cursor.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import httpx
import polars as pl

from libs.common.errors import InvalidRequest
from libs.common.secrets import SecretText
from services.ingest import exact_json
from services.ingest.chunks import Chunk, Input, Plan, ReportWindow, chunk_of
from services.ingest.failures import SourceProtocolBroken
from services.ingest.sources.guard import check_url
from services.ingest.sources.http_pages import Pages
from services.ingest.sources.objects import Objects
from services.ingest.sources.openai_pages import Page, Row, page_of
from services.ingest.sources.request_pace import RequestPace
from services.ingest.sources.source import Interval, RawBatch, Reading, Splitting

BASE_URL: Final = "https://api.openai.com/v1"
BUCKETS: Final = {"usage/completions": 31, "costs": 180}
"""Most days of one chunk, and of one page."""

MOST_PAGES: Final = 1000
ONE_DAY: Final = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenAi:
    """One organization's reports.

    secret: Returns the admin key; asked for every request, so that a changed key is taken up.
    wait: Waits some seconds; returns True if the chunk was cancelled meanwhile.
    now: The present: no report is asked beyond it.
    pace: Keeps all its requests apart.
    """

    base_url: str
    reports: tuple[str, ...]
    group_by: Mapping[str, tuple[str, ...]]
    secret: Callable[[], SecretText]
    http: httpx.Client
    wait: Callable[[float], bool]
    now: Callable[[], dt.datetime]
    pace: RequestPace
    allow_private_addresses: bool = False

    def plan(self, splitting: Splitting) -> Plan:
        """Cut each report's window into chunks of as many days as a page may have.

        Each report is asked for one day, so that a key, a right or an option that the source
        refuses is known before a run begins to read.
        """
        window = splitting.window
        if window is None:
            why = "found none; the openai source reads days: give the run's window"
            raise InvalidRequest({"window": why})
        chunks = [
            chunk_of_report(report, start, end, splitting.spec_hash)
            for report in self.reports
            for start, end in _spans(window, BUCKETS[report])
        ]
        reading = Reading(columns=splitting.columns, cancelled=splitting.cancelled)
        for report in self.reports:
            part = ReportWindow(
                report=report, start_time=window.start, end_time=window.start + ONE_DAY
            )
            page_of(
                self._pages(part, reading).get(self._parameters(part, self._end(part), limit=1)),
                report,
            )
        return Plan(chunks=tuple(chunks))

    def _pages(self, part: ReportWindow, reading: Reading) -> Pages:
        base = (self.base_url or BASE_URL).rstrip("/")
        check_url(base, allow_private_addresses=self.allow_private_addresses)
        return Pages(
            url=f"{base}/organization/{part.report}",
            name=part.report,
            secret=self.secret,
            http=self.http,
            wait=self.wait,
            now=self.now,
            reading=reading,
            pace=self.pace,
        )

    def read(self, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        """Yield one batch a page; days that the source says are empty are named."""
        part = chunk.part
        assert isinstance(part, ReportWindow)
        pages = self._pages(part, reading)
        end = self._end(part)
        parameters = self._parameters(part, end, limit=BUCKETS[part.report])
        seen = Seen(part.report)
        objects = Objects(reading.columns)
        number, token = 0, ""
        while True:
            asked = [*parameters, ("page", token)] if token else parameters
            body = pages.get(asked)
            page = page_of(body, part.report)
            seen.take(page)
            batch = _batch(page, number, objects, len(body), part.report)
            number += batch.rows.height
            yield batch
            if not page.has_more:
                seen.check_whole(part.start_time, end)
                return
            token = page.next_page

    def _end(self, part: ReportWindow) -> dt.datetime:
        """Return where a report ends by now: nothing later is asked for, nor expected."""
        return max(min(part.end_time, self.now()), part.start_time + dt.timedelta(seconds=1))

    def _parameters(
        self, part: ReportWindow, end: dt.datetime, *, limit: int
    ) -> list[tuple[str, str | int]]:
        """Return what every page of a window is asked with: tokens hold for the same question."""
        return [
            ("start_time", int(part.start_time.timestamp())),
            ("end_time", int(end.timestamp())),
            ("bucket_width", "1d"),
            ("limit", limit),
            *(("group_by", name) for name in self.group_by.get(part.report, ())),
        ]


class Seen:
    """What the pages of a report brought so far; a page or day that comes again is refused.

    So is a day that is over and never comes: empty days come as buckets without results.
    """

    def __init__(self, report: str) -> None:
        self._report = report
        self._tokens: set[str] = set()
        self._days: set[dt.datetime] = set()

    def take(self, page: Page) -> None:
        """Note a page. Raises SourceProtocolBroken."""
        starts = [bucket.start for bucket in page.buckets]
        again = sorted(self._days.intersection(starts))
        if again or len(set(starts)) < len(starts):
            self._refuse(f"the day {(again or starts)[0].date()} twice")
        self._days.update(starts)
        if not page.has_more:
            return
        if not page.next_page:
            self._refuse("has_more without next_page")
        if page.next_page in self._tokens:
            self._refuse("the same next_page twice")
        self._tokens.add(page.next_page)
        if len(self._tokens) >= MOST_PAGES:
            self._refuse(f"{MOST_PAGES} pages and more to come")

    def check_whole(self, start: dt.datetime, end: dt.datetime) -> None:
        """Look for a bucket of every day in [start, end) that is over. Raises SourceProtocolBroken."""
        while start + ONE_DAY <= end:
            if start not in self._days:
                self._refuse(f"no bucket for the day {start.date()}")
            start += ONE_DAY

    def _refuse(self, what: str) -> None:
        text = f"{self._report} answered with {what}; ask the provider, then retry the run"
        raise SourceProtocolBroken(text, source=self._report)


def _spans(window: Interval, days: int) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    start = window.start
    while start < window.end:
        end = min(start + dt.timedelta(days=days), window.end)
        yield start, end
        start = end


def chunk_of_report(report: str, start: dt.datetime, end: dt.datetime, spec_hash: str) -> Chunk:
    """Return the chunk of a report over [start, end)."""
    input_ = Input(input_id=f"{report}:{start.date()}/{end.date()}")
    return chunk_of(input_, ReportWindow(report=report, start_time=start, end_time=end), spec_hash)


def _batch(page: Page, first: int, objects: Objects, size: int, report: str) -> RawBatch:
    rows = [
        _row(result, bucket.start, bucket.end)
        for bucket in page.buckets
        for result in bucket.results
    ]
    try:
        frame = objects.frame(objects.row(row) for row in rows)
    except ValueError as error:
        text = f"{report}: {error}; ask the provider, then retry the run"
        raise SourceProtocolBroken(text, source=report) from error
    return RawBatch(
        rows=frame,
        row_numbers=pl.int_range(first, first + len(rows), dtype=pl.Int64, eager=True),
        raw_rows=lambda indexes: [exact_json.dumps(rows[i]) for i in indexes],
        read_bytes=size,
        empty_days=tuple(b.start.date().isoformat() for b in page.buckets if not b.results),
    )


def _row(result: Row, start: dt.datetime, end: dt.datetime) -> Row:
    """Return a result of a bucket as one row: the amount in two columns, the day before all."""
    row: dict[str, object] = {
        "usage_date": start.date().isoformat(),
        "bucket_start": start.strftime("%Y-%m-%d %H:%M:%S"),
        "bucket_end": end.strftime("%Y-%m-%d %H:%M:%S"),
    }
    for key, value in result.items():
        if key == "amount" and isinstance(value, dict):
            row |= {f"amount_{name}": part for name, part in value.items()}
        else:
            row[key] = value
    return row
