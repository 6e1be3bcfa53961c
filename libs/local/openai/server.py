"""The server: authentication, paging, refusals, and what its dials say."""

import asyncio
import dataclasses
import datetime as dt
import json
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from libs.local.openai.reports import DIMENSIONS, ORGANIZATIONS, bucket, costs, days, usage

MOST_BUCKETS: Final = {"usage/completions": 31, "costs": 180}
PREFIX: Final = "/v1/organization"


@dataclasses.dataclass(slots=True)
class Dials:
    """What goes wrong, or differs, until `POST /dials` says otherwise.

    failures: Answers before the next real ones: {"status": 429, "retry_after": 1} or {"cut": true}.
    page_days: Buckets a page, if fewer than asked for.
    lose_next_page: Whether `has_more` comes without `next_page`.
    empty_days: Days without results.
    restated: Dollars added to each cost of a day, by day.
    unseen_field: Name of a field that every result has in addition.
    refused_group_by: Dimensions that are refused with 400 although documented.
    """

    failures: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    page_days: int = 3
    lose_next_page: bool = False
    empty_days: list[str] = dataclasses.field(default_factory=list)
    restated: dict[str, str] = dataclasses.field(default_factory=dict)
    unseen_field: str = ""
    refused_group_by: list[str] = dataclasses.field(default_factory=lambda: ["api_key_id"])


def _error(status: int, message: str, **headers: str) -> web.Response:
    kind = "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(body, status=status, headers=headers)


class OpenAiServer:
    """Two organizations, by their admin keys."""

    def __init__(self) -> None:
        self.dials = Dials()
        self.request_count = 0

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
        self.request_count += 1
        if self.dials.failures:
            return await self._fail(request, self.dials.failures.pop(0))
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in ORGANIZATIONS:
            shown = f"{key[:8]}…" if key else "none"
            return _error(401, f"Incorrect API key provided: {shown}")
        refusal = self._refusal(request, report)
        return refusal or web.json_response(self._page(request, report, key))

    async def _fail(self, request: web.Request, failure: dict[str, Any]) -> web.StreamResponse:
        if failure.get("cut"):
            response = web.StreamResponse(headers={"Content-Length": "10000"})
            await response.prepare(request)
            await response.write(b'{"object":"page","data":[')
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
            return response
        status = int(failure.get("status", 500))
        headers = {}
        if "retry_after" in failure:
            headers["Retry-After"] = str(failure["retry_after"])
        return _error(status, str(failure.get("message", f"a dial answers {status}")), **headers)

    def _refusal(self, request: web.Request, report: str) -> web.Response | None:
        query = request.query
        unknown = set(query.getall("group_by", [])) - set(DIMENSIONS[report])
        refused = set(query.getall("group_by", [])) & set(self.dials.refused_group_by)
        if unknown or (refused and report == "costs"):
            names = ", ".join(sorted(unknown or refused))
            return _error(400, f"Invalid value for 'group_by': {names} is not supported")
        limit = int(query.get("limit", "7"))
        if limit > MOST_BUCKETS[report]:
            return _error(400, f"'limit' must be at most {MOST_BUCKETS[report]}")
        if "start_time" not in query:
            return _error(400, "Missing required parameter: 'start_time'")
        end = int(query.get("end_time", dt.datetime.now(dt.UTC).timestamp()))
        if end > dt.datetime.now(dt.UTC).timestamp() + 60:
            return _error(400, "'end_time' must not be in the future")
        return None

    def _page(self, request: web.Request, report: str, key: str) -> dict[str, Any]:
        query = request.query
        end = int(query.get("end_time", dt.datetime.now(dt.UTC).timestamp()))
        asked = list(days(int(query["start_time"]), end))
        start = int(query.get("page", "page_0").removeprefix("page_"))
        size = min(int(query.get("limit", "7")), self.dials.page_days)
        group_by = query.getall("group_by", [])
        data = [self._bucket(report, key, day, group_by) for day in asked[start : start + size]]
        more = start + size < len(asked)
        token = None if self.dials.lose_next_page or not more else f"page_{start + size}"
        return {"object": "page", "data": data, "has_more": more, "next_page": token}

    def _bucket(self, report: str, key: str, day: dt.date, group_by: list[str]) -> dict[str, Any]:
        if day.isoformat() in self.dials.empty_days:
            return bucket(day, [])
        if report == "costs":
            extra = Decimal(self.dials.restated.get(day.isoformat(), "0"))
            rows = costs(key, day, group_by, extra)
        else:
            rows = usage(key, day, group_by)
        if self.dials.unseen_field:
            rows = [{**row, self.dials.unseen_field: {"since": "today"}} for row in rows]
        return bucket(day, rows)


async def serve(port: int) -> None:
    """Serve on loopback until cancelled; say the address as one JSON line."""
    runner = web.AppRunner(OpenAiServer().application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = runner.addresses[0][1]
    ready = {"event": "openai.ready", "base_url": f"http://127.0.0.1:{bound}/v1"}
    print(json.dumps(ready), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
