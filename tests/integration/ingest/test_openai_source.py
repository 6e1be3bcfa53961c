"""The openai source against the local server, over HTTP: what it reads, and how often it asks."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal

import httpx
import pytest

from libs.common.errors import InvalidRequest
from libs.common.money import total
from libs.local.openai import reports
from services.ingest.casting.cast import cast
from services.ingest.chunks import Chunk, ReportWindow
from services.ingest.sources.guard import open_http
from services.ingest.sources.openai import chunk_of_report
from services.ingest.sources.source import RawBatch, Splitting
from tests.integration.ingest.providers import (
    COLUMNS,
    COST_GROUPS,
    KEY,
    TODAY,
    USAGE_GROUPS,
    Provider,
    Reader,
    openai,
    reader,
)

DAY = dt.timedelta(days=1)
START = TODAY - 10 * DAY


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
    return reader(provider.base_url, http)


@pytest.fixture
def costs(provider: Provider, http: httpx.Client) -> Reader:
    return reader(provider.base_url, http, reports=["costs"])


def chunk(report: str, days: int, start: dt.datetime = START) -> Chunk:
    """Return the chunk of a report over some days."""
    return chunk_of_report(report, start, start + days * DAY, "spec")


def cells(batches: Sequence[RawBatch], *names: str) -> list[tuple[str | None, ...]]:
    return [row for batch in batches for row in batch.rows.select(names).rows()]


def test_pages_are_followed_to_the_end_and_rows_numbered_on(
    usage: Reader, provider: Provider
) -> None:
    provider.dial(page_days=3)
    batches = usage.read(chunk("usage/completions", 7))
    days = [(START + i * DAY).date() for i in range(7)]
    expected = [
        (day.isoformat(), row["project_id"], row["model"], str(row["input_tokens"]))
        for day in days
        for row in reports.usage(KEY, day, USAGE_GROUPS)
    ]
    assert cells(batches, "usage_date", "project_id", "model", "input_tokens") == expected
    numbers = [number for batch in batches for number in batch.row_numbers.to_list()]
    assert numbers == list(range(len(expected)))
    assert len(provider.asked) == len(batches) == 3


def test_a_day_is_told_by_its_bucket(usage: Reader) -> None:
    batches = usage.read(chunk("usage/completions", 1))
    day = START.strftime("%Y-%m-%d")
    after = (START + DAY).strftime("%Y-%m-%d 00:00:00")
    found = set(cells(batches, "usage_date", "bucket_start", "bucket_end"))
    assert found == {(day, f"{day} 00:00:00", after)}


def test_every_page_is_asked_the_same_question_while_time_goes_on(
    provider: Provider, http: httpx.Client
) -> None:
    provider.dial(page_days=1)
    times = iter(dt.datetime.now(dt.UTC) - i * dt.timedelta(seconds=9) for i in range(100))
    moving = reader(provider.base_url, http, now=lambda: next(times))
    moving.read(chunk("usage/completions", 3, TODAY - 2 * DAY))
    assert len(provider.asked) == 3
    assert len({asked["end_time"] for asked in provider.asked}) == 1


def test_no_report_is_asked_beyond_the_present(usage: Reader, provider: Provider) -> None:
    usage.read(chunk("usage/completions", 5, TODAY - DAY))
    (asked,) = provider.asked
    assert int(asked["end_time"]) <= dt.datetime.now(dt.UTC).timestamp()


def test_a_report_is_asked_by_day_with_its_grouping(costs: Reader, provider: Provider) -> None:
    costs.read(chunk("costs", 2))
    (parameters,) = provider.server.asked
    assert parameters == [
        ("report", "costs"),
        ("start_time", str(int(START.timestamp()))),
        ("end_time", str(int((START + 2 * DAY).timestamp()))),
        ("bucket_width", "1d"),
        ("limit", "180"),
        ("group_by", "project_id"),
        ("group_by", "line_item"),
    ]


def test_a_day_that_the_source_says_is_empty_is_named(usage: Reader, provider: Provider) -> None:
    empty = (START + DAY).date().isoformat()
    provider.dial(empty_days=[empty], page_days=31)
    (batch,) = usage.read(chunk("usage/completions", 3))
    assert batch.empty_days == (empty,)
    assert empty not in batch.rows["usage_date"].to_list()


@pytest.mark.parametrize("as_numbers", [False, True], ids=["texts", "numbers"])
def test_money_is_exact_to_its_sixteenth_decimal(
    costs: Reader, provider: Provider, as_numbers: bool
) -> None:
    day = START.date()
    provider.dial(restated={day.isoformat(): "0.0000000000000001"}, amounts_as_numbers=as_numbers)
    (batch,) = costs.read(chunk("costs", 1))
    amounts = [
        row["amount"]["value"]
        for row in reports.costs(KEY, day, COST_GROUPS, Decimal("0.0000000000000001"))
    ]
    assert batch.rows["amount_value"].to_list() == amounts
    assert set(batch.rows["amount_currency"]) == {"usd"}
    found = cast(batch.rows, COLUMNS)
    assert found.misfits == ()
    assert total(found.frame["amount_value"]) == total(map(Decimal, amounts))


def test_a_field_never_seen_is_kept_with_every_other_that_the_schema_lacks(
    usage: Reader, provider: Provider
) -> None:
    provider.dial(unseen_field="cache_tier")
    ((extra,), *_) = cells(usage.read(chunk("usage/completions", 1)), "extra")
    kept = json.loads(extra or "")
    assert kept["cache_tier"] == {"since": "today"}
    assert kept["output_tokens"] > 0
    assert "input_tokens" not in kept


def test_a_restated_day_is_read_with_its_new_amounts(costs: Reader, provider: Provider) -> None:
    asked = chunk("costs", 2)
    before = cells(costs.read(asked), "usage_date", "amount_value")
    restated = (START + DAY).date().isoformat()
    provider.dial(restated={restated: "0.5"})
    after = cells(costs.read(asked), "usage_date", "amount_value")
    changes = {
        day: Decimal(str(new)) - Decimal(str(old))
        for (day, old), (_, new) in zip(before, after, strict=True)
    }
    assert changes == {START.date().isoformat(): 0, restated: Decimal("0.5")}


def test_a_row_is_shown_as_the_source_wrote_it(costs: Reader) -> None:
    (batch,) = costs.read(chunk("costs", 1))
    shown = json.loads(batch.raw_rows([0])[0])
    assert shown["amount_value"] == batch.rows["amount_value"][0]
    assert shown["object"] == "organization.costs.result"


def test_a_plan_has_a_chunk_for_as_many_days_as_a_page_may_have(
    provider: Provider, http: httpx.Client
) -> None:
    both = reader(provider.base_url, http, reports=["usage/completions", "costs"])
    start = TODAY - 40 * DAY
    chunks = both.chunks(start, TODAY)
    spans = [
        (c.part.report, c.part.start_time, c.part.end_time)
        for c in chunks
        if isinstance(c.part, ReportWindow)
    ]
    assert spans == [
        ("usage/completions", start, start + 31 * DAY),
        ("usage/completions", start + 31 * DAY, TODAY),
        ("costs", start, TODAY),
    ]
    assert chunks[2].input.input_id == f"costs:{start.date()}/{TODAY.date()}"
    assert [c.expected_row_count for c in chunks] == [None] * 3


def test_planning_a_window_twice_gives_the_same_ids(usage: Reader) -> None:
    assert usage.chunks(START, TODAY) == usage.chunks(START, TODAY)


def test_a_plan_asks_each_report_for_one_day(provider: Provider, http: httpx.Client) -> None:
    both = reader(provider.base_url, http, reports=["usage/completions", "costs"])
    both.chunks(START, TODAY)
    assert [(asked["report"], asked["limit"]) for asked in provider.asked] == [
        ("usage/completions", "1"),
        ("costs", "1"),
    ]


def test_a_plan_without_a_window_is_refused(usage: Reader) -> None:
    nothing = Splitting(columns=COLUMNS, window=None, chunk_bytes=1, spec_hash="spec")
    with pytest.raises(InvalidRequest) as refusal:
        usage.source.plan(nothing)
    assert list(refusal.value.violations) == ["window"]
