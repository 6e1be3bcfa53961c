"""What the openai source does when the provider refuses, stumbles or answers nonsense, over HTTP."""

import dataclasses
import datetime as dt
import email.utils
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from libs.common.errors import ServiceError
from libs.common.secrets import SecretNotFound
from services.ingest import failures
from services.ingest.sources.guard import open_http
from services.ingest.sources.openai import chunk_of_report
from services.ingest.sources.source import Interval, Splitting
from tests.integration.ingest.providers import KEY, TODAY, Provider, Reader, openai, reader

DAY = dt.timedelta(days=1)
START = TODAY - 10 * DAY
WEEK = chunk_of_report("usage/completions", START, START + 7 * DAY, "spec")
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with openai() as running:
        yield running


@pytest.fixture
def provider(server: Provider) -> Provider:
    server.dial()
    return server


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with open_http(allow_private_addresses=True) as client:
        yield client


@pytest.fixture
def usage(provider: Provider, http: httpx.Client) -> Reader:
    return reader(provider.base_url, http, now=lambda: NOW)


def rows(found: Reader) -> int:
    return sum(batch.rows.height for batch in found.read(WEEK))


def fails(read: Callable[[], object], error: type[ServiceError]) -> ServiceError:
    with pytest.raises(error) as failure:
        read()
    return failure.value


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        ("0", 0.0),
        (email.utils.format_datetime(NOW + dt.timedelta(seconds=12), usegmt=True), 12.0),
        (email.utils.format_datetime(NOW - DAY, usegmt=True), 0.0),
        ("soon", 5.0),
        ("²", 5.0),
        (None, 5.0),
    ],
    ids=[
        "seconds",
        "parts",
        "at once",
        "a date",
        "a date that is over",
        "words",
        "odd digit",
        "nothing",
    ],
)
def test_429_is_waited_for_as_long_as_it_says_and_the_page_asked_again(
    usage: Reader, provider: Provider, header: str | None, waited: float
) -> None:
    whole = rows(usage)
    headers = {} if header is None else {"Retry-After": header}
    provider.dial(failures=[{"status": 429, "headers": headers}])
    assert rows(usage) == whole
    assert usage.waits == [waited]
    assert usage.throttled == [True, False]


def test_each_request_waits_for_its_turn_the_first_and_a_repeated_one_too(
    provider: Provider, http: httpx.Client
) -> None:
    paced = reader(provider.base_url, http, reports=["usage/completions"], per_minute=30.0)
    provider.dial(failures=[{"status": 429, "headers": {"Retry-After": "1"}}])
    rows(paced)
    assert paced.waits == [2.0, 1.0, 1.0, *[2.0] * (len(provider.asked) - 2)]
    assert paced.throttled == [True, False] * len(paced.waits)


def test_a_wait_longer_than_a_chunk_waits_is_handed_on_at_once(
    usage: Reader, provider: Provider
) -> None:
    provider.dial(failures=[{"status": 429, "retry_after": 31, "message": "Quota exceeded"}])
    failure = fails(lambda: usage.read(WEEK), failures.SourceRateLimited)
    assert str(failure) == ("usage/completions answered 429 and asks to wait 31 s: Quota exceeded")
    assert (getattr(failure, "retry_after", None), usage.waits) == (31.0, [])
    assert failure.metadata == {"source": "usage/completions", "status": "429"}


@pytest.mark.parametrize("header", ["999999999", "9" * 400], ids=["years", "no number at all"])
def test_no_wait_is_endless(usage: Reader, provider: Provider, header: str) -> None:
    provider.dial(failures=[{"status": 429, "retry_after": header}] * 4)
    failure = fails(lambda: usage.read(WEEK), failures.SourceRateLimited)
    assert getattr(failure, "retry_after", 1e9) <= 86_400


def test_429_for_four_times_is_handed_on(usage: Reader, provider: Provider) -> None:
    provider.dial(failures=[{"status": 429, "retry_after": 3}] * 4)
    fails(lambda: usage.read(WEEK), failures.SourceRateLimited)
    assert (usage.waits, len(provider.asked)) == ([3.0, 3.0, 3.0], 4)


def test_cancelling_ends_a_wait(usage: Reader, provider: Provider) -> None:
    provider.dial(failures=[{"status": 429, "retry_after": 3}])
    usage.cancelled.set()
    with pytest.raises(failures.Cancelled):
        usage.source.plan(_week())
    assert usage.waits == [3.0]


def _week() -> Splitting:
    window = Interval(start=START, end=TODAY)
    return Splitting(columns=(), window=window, chunk_bytes=1, spec_hash="spec")


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (401, failures.SourceUnauthenticated, "the key is wrong or over"),
        (403, failures.SourceForbidden, "the key lacks a right"),
        (404, failures.SourceNotFound, "correct base_url"),
        (400, failures.SourceRefused, "correct the source's options"),
        (422, failures.SourceRefused, "correct the source's options"),
        (302, failures.SourceRefused, "redirects are not followed"),
    ],
)
def test_a_refusal_is_said_in_the_providers_words_and_not_asked_again(
    usage: Reader, provider: Provider, status: int, error: type[ServiceError], text: str
) -> None:
    failing = {"status": status, "message": "Said so", "headers": {"Location": "/v1/elsewhere"}}
    provider.dial(failures=[failing])
    failure = fails(lambda: usage.read(WEEK), error)
    assert text in str(failure)
    assert ("Said so" in str(failure)) is (status != 302)
    assert failure.metadata["status"] == str(status)
    assert failure.metadata["source"] == "usage/completions"
    assert (len(provider.asked), usage.waits) == (1, [])


@pytest.mark.parametrize("failure", [{"status": 500}, {"status": 503}, {"cut": True}], ids=str)
def test_what_passes_is_asked_again_and_every_row_read_once(
    usage: Reader, provider: Provider, failure: dict[str, Any]
) -> None:
    whole = rows(usage)
    provider.dial(failures=[failure])
    assert rows(usage) == whole
    assert len(usage.waits) == 1


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        ({"status": 500}, "usage/completions answered 500: a dial answers 500"),
        ({"cut": True}, "usage/completions: the connection failed (RemoteProtocolError)"),
    ],
    ids=["500", "cut in the middle of a page"],
)
def test_what_does_not_pass_is_unavailable_after_four_tries(
    usage: Reader, provider: Provider, failure: dict[str, Any], text: str
) -> None:
    provider.dial(failures=[failure] * 4)
    error = fails(lambda: usage.read(WEEK), failures.SourceUnavailable)
    assert str(error) == text
    assert (len(provider.asked), len(usage.waits)) == (4, 3)


def test_a_provider_that_is_not_there_is_unavailable(http: httpx.Client) -> None:
    nobody = reader("http://127.0.0.1:1/v1", http)
    error = fails(lambda: nobody.read(WEEK), failures.SourceUnavailable)
    assert "the connection failed (ConnectError)" in str(error)


@pytest.mark.parametrize(
    ("dials", "text"),
    [
        ({"lose_next_page": True}, "has_more without next_page"),
        ({"repeat_page": True, "page_days": 2}, "twice"),
    ],
    ids=["no next page", "a page that names itself"],
)
def test_pages_that_do_not_lead_on_break_the_protocol(
    usage: Reader, provider: Provider, dials: dict[str, Any], text: str
) -> None:
    provider.dial(**dials)
    error = fails(lambda: usage.read(WEEK), failures.SourceProtocolBroken)
    assert text in str(error)
    assert error.metadata == {"source": "usage/completions"}
    assert len(provider.asked) <= 2


def page(**fields: Any) -> str:
    """Return a page of one empty day, changed."""
    start = int(START.timestamp())
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": []}
    bucket |= fields.pop("bucket", {})
    plain = {"object": "page", "data": [bucket], "has_more": False, "next_page": None}
    return json.dumps({key: value for key, value in (plain | fields).items() if value != "lost"})


ODD_PAGES = {
    "HTML": "<html>it works</html>",
    "nothing": "",
    "half": page()[:-10],
    "NaN": page(bucket={"results": [{"amount": float("nan")}]}),
    "a list": "[]",
    "no data": page(data="lost"),
    "data is no list": page(data={"a": 1}),
    "no has_more": page(has_more="lost"),
    "has_more is no truth": page(has_more="yes"),
    "next_page is no text": page(has_more=True, next_page=5),
    "a bucket that is none": page(data=[7]),
    "no results": page(bucket={"results": None}),
    "a result that is no object": page(bucket={"results": ["x"]}),
    "no start": page(bucket={"start_time": None}),
    "a start that is no number": page(bucket={"start_time": "now"}),
    "a start beyond all years": page(bucket={"start_time": 10**18}),
    "a day twice": page(data=[json.loads(page())["data"][0]] * 2),
    "two spellings": page(bucket={"results": [{"Model": "a", "MODEL": "b"}]}),
}


@pytest.mark.parametrize("body", ODD_PAGES.values(), ids=ODD_PAGES)
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
def test_an_answer_of_another_shape_breaks_the_protocol(
    usage: Reader, provider: Provider, body: str, content_type: str
) -> None:
    provider.dial(failures=[{"status": 200, "body": body, "content_type": content_type}])
    error = fails(lambda: usage.read(WEEK), failures.SourceProtocolBroken)
    assert error.metadata == {"source": "usage/completions"}


def days(*numbers: int) -> str:
    """Return a page of empty days, counted from the first."""
    starts = [int((START + n * DAY).timestamp()) for n in numbers]
    return page(
        data=[{"start_time": start, "end_time": start + 86_400, "results": []} for start in starts]
    )


@pytest.mark.parametrize(
    ("found", "lost"),
    [((), 0), ((1, 2), 0), ((0, 2), 1), ((0, 1), 2)],
    ids=["every day", "the first", "one in the middle", "the last"],
)
def test_a_day_that_is_over_and_never_comes_breaks_the_protocol(
    usage: Reader, provider: Provider, found: tuple[int, ...], lost: int
) -> None:
    three = chunk_of_report("costs", START, START + 3 * DAY, "spec")
    provider.dial(failures=[{"status": 200, "body": days(*found)}])
    error = fails(lambda: usage.read(three), failures.SourceProtocolBroken)
    day = (START + lost * DAY).date()
    assert str(error) == (
        f"costs answered with no bucket for the day {day}; ask the provider, then retry the run"
    )
    assert error.metadata == {"source": "costs"}


def test_a_day_that_is_not_over_may_be_left_out(usage: Reader, provider: Provider) -> None:
    running = chunk_of_report("costs", TODAY - DAY, TODAY + 2 * DAY, "spec")
    provider.dial(failures=[{"status": 200, "body": days(9)}])
    (batch,) = usage.read(running)
    assert batch.empty_days == ((TODAY - DAY).date().isoformat(),)


def test_a_page_is_read_whatever_its_content_type_says(usage: Reader, provider: Provider) -> None:
    provider.dial(failures=[{"status": 200, "body": page(), "content_type": "text/plain"}])
    (batch,) = usage.read(chunk_of_report("usage/completions", START, START + DAY, "spec"))
    assert batch.empty_days == (START.date().isoformat(),)


def test_a_grouping_that_the_source_refuses_is_known_when_the_run_is_planned(
    provider: Provider, http: httpx.Client
) -> None:
    wrong = reader(provider.base_url, http, reports=["costs"], cost_groups=("api_key_id",))
    error = fails(lambda: wrong.chunks(START, TODAY), failures.SourceRefused)
    assert str(error) == (
        "costs answered 400: Invalid value for 'group_by': api_key_id is not supported; "
        "correct the source's options"
    )
    assert error.metadata == {"source": "costs", "status": "400"}


def test_an_address_that_is_no_such_api_is_known_when_the_run_is_planned(
    usage: Reader, provider: Provider
) -> None:
    provider.dial(failures=[{"status": 200, "body": "<html>", "content_type": "text/html"}])
    fails(lambda: usage.chunks(START, TODAY), failures.SourceProtocolBroken)


def test_a_wrong_key_is_known_when_the_run_is_planned(
    provider: Provider, http: httpx.Client
) -> None:
    wrong = reader(provider.base_url, http, key="sk-admin-mistyped")
    fails(lambda: wrong.chunks(START, TODAY), failures.SourceUnauthenticated)


ECHOES = [
    {"status": 401, "message": f"Incorrect API key provided: {KEY}."},
    {"status": 403, "message": f"'{KEY}' lacks api.usage.read"},
    {"status": 404, "message": KEY},
    {"status": 400, "message": f"{KEY}: sk-proj-another"},
    {"status": 429, "retry_after": 60, "message": f"{KEY} is too fast"},
    *([{"status": 500, "message": f"panic: Bearer {KEY}"}] * 4),
]


@pytest.mark.parametrize("first", range(6), ids=["401", "403", "404", "400", "429", "500"])
def test_no_key_appears_in_an_error_or_a_log_though_the_provider_repeats_it(
    usage: Reader, provider: Provider, caplog: pytest.LogCaptureFixture, first: int
) -> None:
    provider.dial(failures=ECHOES[first:])
    with caplog.at_level(logging.DEBUG):
        error = fails(lambda: usage.read(WEEK), ServiceError)
    said = f"{error!r}{error}{error.metadata}{caplog.text}"
    assert "answered" in said
    assert KEY not in said
    assert "sk-proj" not in said


@pytest.mark.parametrize(
    "key",
    ["", "sk-admin x", "sk-admin\nx", "sk-admin-é", "sk-…"],
    ids=["empty", "blank", "two lines", "accent", "dots"],
)
def test_a_secret_that_can_be_no_key_is_refused_before_it_is_sent(
    provider: Provider, http: httpx.Client, key: str
) -> None:
    odd = reader(provider.base_url, http, key=key)
    error = fails(lambda: odd.read(WEEK), failures.SourceUnauthenticated)
    assert provider.asked == []
    assert not key or key not in str(error)


def test_a_missing_secret_fails_the_plan_before_anything_is_asked(
    provider: Provider, http: httpx.Client
) -> None:
    def missing() -> Any:
        raise SecretNotFound("no secret openai_api_key", secret="openai_api_key")

    found = reader(provider.base_url, http)
    found.source = dataclasses.replace(found.source, secret=missing)
    fails(lambda: found.chunks(START, TODAY), SecretNotFound)
    assert provider.asked == []
