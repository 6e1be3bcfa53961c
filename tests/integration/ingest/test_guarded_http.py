"""The client of sources over real connections: where it connects, what it keeps, when it stops."""

import asyncio
import dataclasses
import datetime as dt
import threading
import time
from collections.abc import Iterator, Sequence

import httpx
import pytest
from aiohttp import web

from libs.common.secrets import SecretText
from services.ingest.failures import Cancelled, SourceNotAllowed, SourceProtocolBroken
from services.ingest.sources.guard import GuardedBackend, open_http
from services.ingest.sources.http_pages import Pages
from services.ingest.sources.openai import chunk_of_report
from services.ingest.sources.request_pace import RequestPace
from services.ingest.sources.source import Reading
from tests.integration.ingest.providers import TODAY, Provider, openai, reader, serving

DAY = dt.timedelta(days=1)
WEEK = chunk_of_report("usage/completions", TODAY - 9 * DAY, TODAY - 2 * DAY, "spec")


@dataclasses.dataclass(slots=True)
class Odd:
    """A server that sets cookies, never ends, answers too much, or points elsewhere."""

    address: str = ""
    asked: list[web.Request] = dataclasses.field(default_factory=list)

    def application(self) -> web.Application:
        application = web.Application()
        for name in ("cookie", "endless", "large", "packed", "redirect", "elsewhere"):
            application.router.add_get(f"/{name}", getattr(self, name))
        return application

    async def cookie(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        return web.Response(text="{}", headers={"Set-Cookie": "who=acme; Path=/"})

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    async def large(self, request: web.Request) -> web.Response:
        return web.Response(body=b" " * 100_000)

    async def packed(self, request: web.Request) -> web.Response:
        response = web.Response(body=b" " * 100_000)
        response.enable_compression()
        return response

    async def redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def elsewhere(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        return web.Response(text="{}")


@pytest.fixture(scope="module")
def running() -> Iterator[Odd]:
    odd = Odd()
    with serving(odd.application()) as address:
        odd.address = address
        yield odd


@pytest.fixture
def odd(running: Odd) -> Odd:
    running.asked.clear()
    return running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with open_http(allow_private_addresses=True) as client:
        yield client


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with openai() as server:
        yield server


def pages(url: str, http: httpx.Client, cancelled: threading.Event | None = None) -> Pages:
    return Pages(
        url=url,
        name="report",
        secret=lambda: SecretText("sk-admin-x"),
        http=http,
        wait=lambda _: False,
        now=lambda: dt.datetime.now(dt.UTC),
        reading=Reading(columns=(), cancelled=cancelled or threading.Event()),
        pace=RequestPace(0.0, time.monotonic),
        largest_bytes=50_000,
    )


def test_a_cookie_of_one_tenants_answer_is_not_sent_with_anothers_question(
    odd: Odd, http: httpx.Client
) -> None:
    for _ in range(2):
        assert pages(f"{odd.address}/cookie", http).get([]) == b"{}"
    assert [request.headers.get("Cookie") for request in odd.asked] == [None, None]


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(
    odd: Odd, http: httpx.Client
) -> None:
    with pytest.raises(Exception, match="answered 302: redirects are not followed"):
        pages(f"{odd.address}/redirect", http).get([])
    assert odd.asked == []


@pytest.mark.parametrize("path", ["large", "packed"])
def test_an_answer_that_is_too_large_is_given_up(odd: Odd, http: httpx.Client, path: str) -> None:
    with pytest.raises(SourceProtocolBroken, match="an answer of more than 50000 bytes"):
        pages(f"{odd.address}/{path}", http).get([])


def test_cancelling_ends_an_answer_that_goes_on_for_ever(odd: Odd, http: httpx.Client) -> None:
    cancelled = threading.Event()
    timer = threading.Timer(0.05, cancelled.set)
    timer.start()
    with pytest.raises(Cancelled):
        pages(f"{odd.address}/endless", http, cancelled).get([])
    timer.join()


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433"])
def test_a_name_that_stands_for_this_machine_is_refused_before_a_connection(
    provider: Provider, host: str
) -> None:
    provider.dial()
    port = httpx.URL(provider.base_url).port
    with open_http(allow_private_addresses=False) as guarded:
        found = reader(f"https://{host}:{port}/v1", guarded, allow_private_addresses=False)
        with pytest.raises(SourceNotAllowed) as refusal:
            found.read(WEEK)
    assert "stands for an address that may not be reached" in str(refusal.value)
    assert (provider.asked, found.waits) == ([], [])


def test_a_literal_inside_an_ipv6_address_is_refused_when_the_run_is_planned(
    provider: Provider,
) -> None:
    with open_http(allow_private_addresses=False) as guarded:
        found = reader("https://[::ffff:7f00:1]/v1", guarded, allow_private_addresses=False)
        with pytest.raises(SourceNotAllowed, match="allowed is a public address"):
            found.chunks(TODAY - DAY, TODAY)


def guarded(*answers: Sequence[str]) -> tuple[httpx.Client, list[str]]:
    """Return a guarded client whose names resolve to each of these answers once."""
    left, resolved = list(answers), []

    def resolve(host: str, port: int) -> Sequence[str]:
        resolved.append(host)
        return left.pop(0)

    backend = GuardedBackend(allows=lambda address: address.startswith("127."), resolve=resolve)
    return open_http(allow_private_addresses=False, backend=backend), resolved


def test_a_name_is_resolved_once_and_that_address_is_connected_to(provider: Provider) -> None:
    provider.dial(page_days=2)
    port = httpx.URL(provider.base_url).port
    client, resolved = guarded(["127.0.0.1"], ["169.254.169.254"])
    with client:
        batches = reader(f"http://api.example:{port}/v1", client).read(WEEK)
    assert len(batches) == len(provider.asked) == 4
    assert resolved == ["api.example"]


def test_a_name_that_stands_for_another_address_by_the_next_connection_is_checked_again(
    provider: Provider,
) -> None:
    provider.dial(failures=[{"cut": True}])
    port = httpx.URL(provider.base_url).port
    client, resolved = guarded(["127.0.0.1"], ["169.254.169.254"])
    with client, pytest.raises(SourceNotAllowed):
        reader(f"http://api.example:{port}/v1", client).read(WEEK)
    assert resolved == ["api.example"] * 2
    assert len(provider.asked) == 1


def test_the_next_address_of_a_name_is_tried_where_one_does_not_answer(provider: Provider) -> None:
    provider.dial()
    port = httpx.URL(provider.base_url).port
    client, _ = guarded(["127.0.0.9", "127.0.0.1"])
    with client:
        assert reader(f"http://api.example:{port}/v1", client).read(WEEK)
