"""The server: authentication, paging, refusals, and what its dials say."""

import asyncio
import dataclasses
import datetime as dt
import hashlib
import json
import re
from collections import deque
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from libs.local.openai.reports import DIMENSIONS, ORGANIZATIONS, bucket, costs, days, usage

MOST_BUCKETS: Final = {"usage/completions": 31, "costs": 180}
PREFIX: Final = "/v1/organization"
UNSAID_LIMIT: Final = "7"
LATE_SECONDS: Final = 60
_AMOUNT: Final = re.compile(r'"value": "([0-9.]+)"')


@dataclasses.dataclass(slots=True)
class Dials:
    """What goes wrong, or differs, until `POST /dials` says otherwise.

    failures: Answers before the next real ones: {"status": 429, "retry_after": 1} or {"cut": true};
        `message` is the error's sentence, `headers` are added, `body` and `content_type` replace
        the error as a whole.
    page_days: Buckets a page, if fewer than asked for.
    lose_next_page: Whether `has_more` comes without `next_page`.
    repeat_page: Whether every page names itself as the next one.
    empty_days: Days without results.
    restated: Dollars added to each cost of a day, by day.
    unseen_field: Name of a field that every result has in addition.
    refused_group_by: Dimensions of costs that are refused with 400 although documented.
    amounts_as_numbers: Whether money is a JSON number, not a text.
    """

    failures: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    page_days: int = 3
    lose_next_page: bool = False
    repeat_page: bool = False
    empty_days: list[str] = dataclasses.field(default_factory=list)
    restated: dict[str, str] = dataclasses.field(default_factory=dict)
    unseen_field: str = ""
    refused_group_by: list[str] = dataclasses.field(default_factory=lambda: ["api_key_id"])
    amounts_as_numbers: bool = False


class Refused(Exception):
    """The request is refused with 400 and this sentence."""


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What a page is asked of: the days, how many a page has, and the grouping."""

    report: str
    days: tuple[dt.date, ...]
    limit: int
    group_by: tuple[str, ...]

    @property
    def token(self) -> str:
        """A page's token holds for the question that it was an answer to."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def first_day(self, page: str) -> int:
        """Return where a page begins."""
        number, _, question = page.removeprefix("page_").partition("_")
        if not page:
            return 0
        if question != self.token or not number.isdigit():
            raise Refused("Invalid 'page': it belongs to a request with other parameters")
        return int(number)


class OpenAiServer:
    """Two organizations, by their admin keys. `asked` holds the parameters of the last requests."""

    def __init__(self) -> None:
        self.dials = Dials()
        self.asked: deque[list[tuple[str, str]]] = deque(maxlen=1000)

    def application(self) -> web.Application:
        """Return the application to serve."""
        application = web.Application()
        application.router.add_get(PREFIX + "/usage/completions", self._usage)
        application.router.add_get(PREFIX + "/costs", self._costs)
        application.router.add_post("/dials", self._set)
        return application

    async def _set(self, request: web.Request) -> web.Response:
        self.dials = Dials(**await request.json())
        return web.json_response(dataclasses.asdict(self.dials))

    async def _usage(self, request: web.Request) -> web.StreamResponse:
        return await self._report(request, "usage/completions")

    async def _costs(self, request: web.Request) -> web.StreamResponse:
        return await self._report(request, "costs")

    async def _report(self, request: web.Request, report: str) -> web.StreamResponse:
        self.asked.append([("report", report), *request.query.items()])
        if self.dials.failures:
            return await _fail(request, self.dials.failures.pop(0))
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in ORGANIZATIONS:
            shown = f"{key[:8]}…" if key else "none"
            return _error(401, f"Incorrect API key provided: {shown}")
        try:
            page = self._page(self._question(request, report), request.query.get("page", ""), key)
        except Refused as refusal:
            return _error(400, str(refusal))
        text = json.dumps(page)
        if self.dials.amounts_as_numbers:
            text = _AMOUNT.sub(r'"value": \1', text)
        return web.json_response(text=text)

    def _question(self, request: web.Request, report: str) -> Question:
        group_by = tuple(request.query.getall("group_by", []))
        refused = self.dials.refused_group_by if report == "costs" else ()
        if wrong := [n for n in group_by if n not in DIMENSIONS[report] or n in refused]:
            names = ", ".join(sorted(wrong))
            raise Refused(f"Invalid value for 'group_by': {names} is not supported")
        now = int(dt.datetime.now(dt.UTC).timestamp())
        limit = _number(request, "limit", UNSAID_LIMIT)
        start, end = _number(request, "start_time"), _number(request, "end_time", str(now))
        if not 1 <= limit <= MOST_BUCKETS[report]:
            raise Refused(f"'limit' must be at most {MOST_BUCKETS[report]}")
        if request.query.get("bucket_width", "1d") != "1d":
            raise Refused("Invalid value for 'bucket_width': only 1d is served here")
        if end > now + LATE_SECONDS:
            raise Refused("'end_time' must not be in the future")
        if end <= start:
            raise Refused("'end_time' must be after 'start_time'")
        return Question(report, tuple(days(start, end)), limit, group_by)

    def _page(self, question: Question, page: str, key: str) -> dict[str, Any]:
        start = question.first_day(page)
        size = min(question.limit, self.dials.page_days)
        data = [self._bucket(question, key, day) for day in question.days[start : start + size]]
        more = start + size < len(question.days)
        token = f"page_{start if self.dials.repeat_page else start + size}_{question.token}"
        following = token if more and not self.dials.lose_next_page else None
        return {"object": "page", "data": data, "has_more": more, "next_page": following}

    def _bucket(self, question: Question, key: str, day: dt.date) -> dict[str, Any]:
        if day.isoformat() in self.dials.empty_days:
            return bucket(day, [])
        if question.report == "costs":
            extra = Decimal(self.dials.restated.get(day.isoformat(), "0"))
            rows = costs(key, day, question.group_by, extra)
        else:
            rows = usage(key, day, question.group_by)
        if self.dials.unseen_field:
            rows = [{**row, self.dials.unseen_field: {"since": "today"}} for row in rows]
        return bucket(day, rows)


def _number(request: web.Request, name: str, unsaid: str | None = None) -> int:
    text = request.query.get(name, unsaid)
    if text is None:
        raise Refused(f"Missing required parameter: '{name}'")
    if not text.isdigit():
        raise Refused(f"Invalid type for '{name}': expected an integer")
    return int(text)


def _error(status: int, message: str, **headers: str) -> web.Response:
    kind = "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)


async def _fail(request: web.Request, failure: dict[str, Any]) -> web.StreamResponse:
    if failure.get("cut"):
        return await _cut(request)
    status, headers = int(failure.get("status", 500)), dict(failure.get("headers", {}))
    if "retry_after" in failure:
        headers["Retry-After"] = str(failure["retry_after"])
    if "body" in failure:
        kind = str(failure.get("content_type", "application/json"))
        return web.Response(text=failure["body"], status=status, headers=headers, content_type=kind)
    return _error(status, str(failure.get("message", f"a dial answers {status}")), **headers)


async def _cut(request: web.Request) -> web.StreamResponse:
    """Begin a page and break the connection in the middle of it."""
    response = web.StreamResponse(headers={"Content-Length": "10000"})
    await response.prepare(request)
    await response.write(b'{"object":"page","data":[')
    assert request.transport is not None
    request.transport.abort()
    await asyncio.sleep(0)
    return response


async def serve(port: int, host: str = "127.0.0.1") -> None:
    """Serve until cancelled; say the address as one JSON line."""
    runner = web.AppRunner(OpenAiServer().application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    bound = runner.addresses[0][1]
    ready = {"event": "openai.ready", "base_url": f"http://{host}:{bound}/v1"}
    print(json.dumps(ready), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
