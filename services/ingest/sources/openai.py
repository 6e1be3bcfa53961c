"""The `openai` source: organization usage and costs, by day.

Source: OpenAI's published API reference, `/organization/usage/completions` and
`/organization/costs`: pages of daily buckets, `limit` counts buckets, `page` is a cursor.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import polars as pl

from libs.common.secrets import SecretText
from services.ingest.chunks import Chunk, Input, Plan, ReportWindow, chunk_of
from services.ingest.failures import (
    Cancelled,
    SourceForbidden,
    SourceNotFound,
    SourceProtocolBroken,
    SourceRateLimited,
    SourceRefused,
    SourceUnauthenticated,
    SourceUnavailable,
)
from services.ingest.sources import exact_json
from services.ingest.sources.guard import AddressRefused, check_url
from services.ingest.sources.json_file import frame_of
from services.ingest.sources.source import Interval, RawBatch, Reading, Splitting

BASE_URL: Final = "https://api.openai.com/v1"
BUCKETS: Final = {"usage/completions": 31, "costs": 180}
"""Most days of one chunk, and of one page."""

MOST_PAGES: Final = 1000
TRIES: Final = 4
LONGEST_WAIT: Final = 30.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenAi:
    """One organization's reports.

    secret: Returns the admin key; asked when a chunk is read and when a run is planned.
    wait: Waits some seconds; returns True if the chunk was cancelled meanwhile.
    now: The present: no report is asked beyond it.
    """

    base_url: str
    reports: tuple[str, ...]
    group_by: Mapping[str, tuple[str, ...]]
    secret: Callable[[], SecretText]
    http: httpx.Client
    wait: Callable[[float], bool]
    now: Callable[[], dt.datetime]
    allow_private_addresses: bool = False

    def plan(self, splitting: Splitting) -> Plan:
        """Cut each report's window into chunks of as many days as a page may have."""
        check_url(self._base, allow_private_addresses=self.allow_private_addresses)
        self.secret()
        window = splitting.window
        assert window is not None, "the orchestrator gives API sources a window"
        chunks = [
            _chunk(report, start, end, splitting.spec_hash)
            for report in self.reports
            for start, end in _spans(window, BUCKETS[report])
        ]
        return Plan(chunks=tuple(chunks))

    @property
    def _base(self) -> str:
        return (self.base_url or BASE_URL).rstrip("/")

    def read(self, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        """Yield one batch a page; days that the source says are empty are named."""
        part = chunk.part
        assert isinstance(part, ReportWindow)
        number, page, pages = 0, "", 0
        while True:
            if reading.cancelled.is_set():
                raise Cancelled
            answer, size = self._page(part, page, reading)
            batch = _batch(answer, number, reading, size, part.report)
            number += batch.rows.height
            yield batch
            if not answer.get("has_more"):
                return
            pages += 1
            page = str(answer.get("next_page") or "")
            if not page or pages >= MOST_PAGES:
                what = f"{pages} pages" if page else "has_more without next_page"
                text = f"{part.report} answered with {what}; ask the provider, then retry the run"
                raise SourceProtocolBroken(text, source=part.report)

    def _page(self, part: ReportWindow, page: str, reading: Reading) -> tuple[dict[str, Any], int]:
        """Ask for one page; wait as 429 says, try again where the connection or server failed."""
        for attempt in range(1, TRIES + 1):
            try:
                response = self.http.get(
                    f"{self._base}/organization/{part.report}",
                    params=self._parameters(part, page),
                    headers={"Authorization": f"Bearer {self.secret().reveal()}"},
                )
            except httpx.TransportError as error:
                _refuse_address(error)
                if attempt == TRIES:
                    text = f"{part.report}: the connection failed ({type(error).__name__})"
                    raise SourceUnavailable(text, source=part.report) from error
                wait = float(attempt)
            else:
                if response.status_code == httpx.codes.OK:
                    return _object(response, part.report), len(response.content)
                wait = _wait_or_raise(response, part.report, last=attempt == TRIES)
            reading.throttled(True)
            if self.wait(wait):
                raise Cancelled
            reading.throttled(False)
        raise AssertionError("the last try returns or raises")

    def _parameters(self, part: ReportWindow, page: str) -> httpx.QueryParams:
        end = min(part.end_time, self.now())
        parameters: list[tuple[str, str | int | float | bool | None]] = [
            ("start_time", int(part.start_time.timestamp())),
            ("end_time", int(end.timestamp())),
            ("bucket_width", "1d"),
            ("limit", BUCKETS[part.report]),
        ]
        parameters += [("group_by", name) for name in self.group_by.get(part.report, ())]
        return httpx.QueryParams([*parameters, ("page", page)] if page else parameters)


def _spans(window: Interval, days: int) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    start = window.start
    while start < window.end:
        end = min(start + dt.timedelta(days=days), window.end)
        yield start, end
        start = end


def _chunk(report: str, start: dt.datetime, end: dt.datetime, spec_hash: str) -> Chunk:
    input_ = Input(input_id=f"{report}:{start.date()}/{end.date()}")
    return chunk_of(input_, ReportWindow(report=report, start_time=start, end_time=end), spec_hash)


def _refuse_address(error: BaseException) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            text = f"{cause}; the operator may allow private addresses"
            raise SourceRefused(text, source="openai") from error
        cause = cause.__cause__


def _wait_or_raise(response: httpx.Response, report: str, *, last: bool) -> float:
    """Return how long to wait before the next try; raise what no try would change."""
    status, said = response.status_code, _said(response)
    code = str(status)
    if status == httpx.codes.UNAUTHORIZED:
        text = f"{report} answered 401: {said}; the key is wrong or over"
        raise SourceUnauthenticated(text, source=report, status=code)
    if status == httpx.codes.FORBIDDEN:
        text = f"{report} answered 403: {said}; an organization admin key is needed"
        raise SourceForbidden(text, source=report, status=code)
    if status == httpx.codes.NOT_FOUND:
        text = f"{report} answered 404: {said}; correct base_url of the source"
        raise SourceNotFound(text, source=report, status=code)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        wait = _retry_after(response)
        if last or wait > LONGEST_WAIT:
            text = f"{report} answered 429 and asks to wait {wait:g} s: {said}"
            raise SourceRateLimited(text, retry_after=wait, source=report, status=code)
        return wait
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        if last:
            text = f"{report} answered {status} {TRIES} times: {said}"
            raise SourceUnavailable(text, retry_after=5.0, source=report, status=code)
        return 1.0
    text = f"{report} answered {status}: {said}; correct the source's options"
    raise SourceRefused(text, source=report, status=code)


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.replace(".", "", 1).isdigit() else 5.0


def _said(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return str(error["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _object(response: httpx.Response, report: str) -> dict[str, Any]:
    try:
        found = exact_json.loads(response.content)
    except ValueError as error:
        text = f"{report}: the answer is no JSON; retry the run"
        raise SourceProtocolBroken(text, source=report) from error
    if not isinstance(found, dict) or not isinstance(found.get("data"), list):
        text = f"{report}: the answer has no list `data`; ask the provider"
        raise SourceProtocolBroken(text, source=report)
    return found


def _batch(
    answer: Mapping[str, Any], first: int, reading: Reading, size: int, report: str
) -> RawBatch:
    rows: list[Mapping[str, Any]] = []
    empty = []
    for bucket in answer["data"]:
        try:
            start, end = _moment(bucket["start_time"]), _moment(bucket["end_time"])
            results = bucket["results"]
        except (KeyError, TypeError, ValueError) as error:
            text = f"{report}: a bucket lacks start_time, end_time or results; ask the provider"
            raise SourceProtocolBroken(text, source=report) from error
        rows += [row_of(result, start, end) for result in results]
        if not results:
            empty.append(start.date().isoformat())
    return RawBatch(
        rows=frame_of(rows, reading),
        row_numbers=pl.Series(range(first, first + len(rows)), dtype=pl.Int64),
        raw_rows=lambda indexes: [exact_json.dumps(rows[i]) for i in indexes],
        read_bytes=size,
        empty_days=tuple(empty),
    )


def _moment(text: Any) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(text), dt.UTC)


def row_of(result: Mapping[str, Any], start: dt.datetime, end: dt.datetime) -> dict[str, Any]:
    """Return a result of a bucket as one row: the amount in two columns, the day before all."""
    row: dict[str, Any] = {
        "usage_date": start.date().isoformat(),
        "bucket_start": start.strftime("%Y-%m-%d %H:%M:%S"),
        "bucket_end": end.strftime("%Y-%m-%d %H:%M:%S"),
    }
    for key, value in result.items():
        if key == "amount" and isinstance(value, dict):
            known = {"value", "currency"}
            row["amount_value"] = value.get("value")
            row["amount_currency"] = value.get("currency")
            row |= {f"amount_{k}": v for k, v in value.items() if k not in known}
        else:
            row[key] = value
    return row
