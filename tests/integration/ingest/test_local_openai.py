"""The local OpenAI server against the recorded shapes of the provider's API."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.integration.ingest.providers import KEY, TODAY, Provider, openai

START = int((TODAY - dt.timedelta(days=9)).timestamp())
DAY = 86_400
USAGE = {
    "object", "input_tokens", "output_tokens", "num_model_requests", "input_cached_tokens",
    "input_uncached_tokens", "input_audio_tokens", "output_audio_tokens",
    "project_id", "user_id", "api_key_id", "model", "batch", "service_tier",
}  # fmt: skip
COSTS = {"object", "amount", "line_item", "project_id", "api_key_id", "quantity", "quantity_unit"}


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with openai() as running:
        yield running


@pytest.fixture
def provider(server: Provider) -> Provider:
    server.dial(page_days=180)
    return server


def ask(provider: Provider, report: str, key: str = KEY, **parameters: Any) -> httpx.Response:
    plain: dict[str, Any] = {"start_time": START, "end_time": START + 2 * DAY}
    return httpx.get(
        f"{provider.base_url}/organization/{report}",
        params={name: value for name, value in (plain | parameters).items() if value is not None},
        headers={"Authorization": f"Bearer {key}"} if key else {},
        trust_env=False,
    )


def results(provider: Provider, report: str, **parameters: Any) -> list[dict[str, Any]]:
    page = ask(provider, report, **parameters).json()
    return [result for bucket in page["data"] for result in bucket["results"]]


@pytest.mark.parametrize(("report", "fields"), [("usage/completions", USAGE), ("costs", COSTS)])
def test_a_page_has_the_published_envelope_and_fields(
    provider: Provider, report: str, fields: set[str]
) -> None:
    page = ask(provider, report).json()
    assert set(page) == {"object", "data", "has_more", "next_page"}
    assert (page["object"], page["has_more"], page["next_page"]) == ("page", False, None)
    for number, bucket in enumerate(page["data"]):
        assert set(bucket) == {"object", "start_time", "end_time", "results"}
        assert bucket["object"] == "bucket"
        assert bucket["start_time"] == START + number * DAY
        assert bucket["end_time"] - bucket["start_time"] == DAY
        assert all(set(result) == fields for result in bucket["results"])


@pytest.mark.parametrize("report", ["usage/completions", "costs"])
def test_without_grouping_a_day_is_one_row_and_every_dimension_null(
    provider: Provider, report: str
) -> None:
    found = results(provider, report)
    assert len(found) == 2
    names = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "line_item")
    assert {result.get(name) for result in found for name in names} == {None}


def test_the_grouping_is_the_grain_and_changes_no_sum(provider: Provider) -> None:
    whole = results(provider, "usage/completions")
    by_model = results(provider, "usage/completions", group_by="model")
    assert len(by_model) == 6
    assert {row["project_id"] for row in by_model} == {None}
    for name in ("input_tokens", "num_model_requests"):
        assert sum(row[name] for row in by_model) == sum(row[name] for row in whole)


def test_money_is_dollars_with_sixteen_decimals_and_a_quantity_comes_with_line_items(
    provider: Provider,
) -> None:
    by_line = results(provider, "costs", group_by=["line_item"])
    assert {row["amount"]["currency"] for row in by_line} == {"usd"}
    assert all(len(row["amount"]["value"].partition(".")[2]) == 16 for row in by_line)
    assert {row["quantity_unit"] for row in by_line} == {"tokens"}
    whole = results(provider, "costs")
    assert {row["quantity"] for row in whole} == {None}
    amounts = [[Decimal(row["amount"]["value"]) for row in rows] for rows in (by_line, whole)]
    assert sum(amounts[0]) == sum(amounts[1])


@pytest.mark.parametrize(
    ("report", "parameters"),
    [
        ("usage/completions", {"limit": 32}),
        ("costs", {"limit": 181}),
        ("costs", {"limit": 0}),
        ("costs", {"group_by": "model"}),
        ("costs", {"group_by": "api_key_id"}),
        ("costs", {"bucket_width": "1h"}),
        ("costs", {"start_time": None}),
        ("costs", {"start_time": "yesterday"}),
        ("costs", {"end_time": START}),
        ("costs", {"end_time": int(TODAY.timestamp()) + 9 * DAY}),
        ("costs", {"page": "page_1_000000000000"}),
    ],
    ids=[
        "too many days of usage", "too many days of costs", "no days", "a dimension of another report",
        "a grouping that is documented and refused", "hours of costs", "no start", "a start that is no number",
        "no span", "the future", "a page of another question",
    ],
)  # fmt: skip
def test_a_request_that_the_provider_refuses_is_refused_and_not_bent(
    provider: Provider, report: str, parameters: dict[str, Any]
) -> None:
    response = ask(provider, report, **parameters)
    assert response.status_code == 400
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_a_page_has_seven_days_unless_more_are_asked_for(provider: Provider) -> None:
    end = START + 9 * DAY
    assert len(ask(provider, "costs", end_time=end).json()["data"]) == 7
    assert len(ask(provider, "costs", end_time=end, limit=9).json()["data"]) == 9


def test_following_pages_gives_every_day_once(provider: Provider) -> None:
    provider.dial(page_days=2)
    days, page = [], ""
    while page is not None:
        found = ask(provider, "costs", end_time=START + 7 * DAY, page=page or None).json()
        days += [bucket["start_time"] for bucket in found["data"]]
        page = found["next_page"]
    assert days == [START + number * DAY for number in range(7)]


@pytest.mark.parametrize("key", ["", "sk-admin-unknown"], ids=["none", "unknown"])
def test_an_unknown_key_is_refused_and_not_repeated(provider: Provider, key: str) -> None:
    response = ask(provider, "costs", key)
    assert response.status_code == 401
    assert "sk-admin-unknown" not in response.text


def test_the_same_day_is_always_the_same(provider: Provider) -> None:
    assert ask(provider, "costs").content == ask(provider, "costs").content
