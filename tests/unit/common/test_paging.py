"""Pages of a list, and tokens that fit only the list that they were given for."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import InvalidRequest
from libs.common.paging import Page, PageTokenInvalid, make_token, read_token

QUERY = "runs:tenants/acme"
TOKEN = make_token(QUERY, "50")


def forged(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@given(st.text(), st.text())
def test_a_token_stands_for_its_position(query: str, position: str) -> None:
    query = query.encode(errors="replace").decode()
    assert read_token(query, make_token(query, position)) == position


def test_no_token_is_the_beginning() -> None:
    assert read_token(QUERY, "") == ""
    assert Page(asked=0, token="", query=QUERY).offset == 0


def test_a_token_of_another_list_is_refused() -> None:
    with pytest.raises(PageTokenInvalid) as error:
        Page(asked=10, token=make_token("runs:tenants/widgets", "50"), query=QUERY)
    assert error.value.reason == "PAGE_TOKEN_INVALID"
    assert error.value.metadata == {"field": "page_token"}
    assert list(error.value.violations) == ["page_token"]


@pytest.mark.parametrize(
    "token",
    [
        TOKEN[:-1],
        TOKEN + "A",
        TOKEN + "=",
        " " + TOKEN,
        TOKEN[:8] + "!" + TOKEN[8:],
        TOKEN.swapcase(),
        "50",
        "é",
        "AAAA",
        forged("50"),
        forged(50),
        forged(["x", "50"]),
        forged([]),
        forged({"a": 1, "b": 2}),
        base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("="),
    ],
    ids=[
        "cut",
        "longer",
        "padded",
        "after a space",
        "with a foreign letter",
        "in other case",
        "an offset",
        "not ascii",
        "no json",
        "a text",
        "a number",
        "another digest",
        "an empty list",
        "an object",
        "nested without end",
    ],
)
def test_a_token_that_nobody_gave_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        read_token(QUERY, token)


@pytest.mark.parametrize("position", ["-1", "1.5", "x", "\u0665", "9" * 19], ids=ascii)
def test_a_position_that_is_no_offset_is_refused(position: str) -> None:
    with pytest.raises(PageTokenInvalid):
        Page(asked=10, token=make_token(QUERY, position), query=QUERY)


@pytest.mark.parametrize(("asked", "limit"), [(0, 50), (1, 1), (500, 500), (501, 500)])
def test_no_page_size_is_the_default_and_a_large_one_the_largest(asked: int, limit: int) -> None:
    assert Page(asked=asked, token="", query=QUERY).limit == limit


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidRequest) as error:
        Page(asked=-1, token="", query=QUERY)
    assert error.value.violations == {"page_size": "found -1; allowed is 0 (meaning 50) or more"}


@given(st.integers(0, 40), st.integers(1, 12))
def test_pages_together_are_the_list(count: int, size: int) -> None:
    items = list(range(count))
    found: list[int] = []
    token, pages = "", 0
    while token or not pages:
        some, token = Page(asked=size, token=token, query=QUERY).of(items)
        found += some
        pages += 1
    assert found == items
    assert pages == max(1, -(-count // size))


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_what_comes_at_the_head_shifts_no_page(count: int, size: int, newer: int) -> None:
    items = list(range(count, 0, -1))
    found: list[int] = []
    token, pages = "", 0
    while token or not pages:
        some, token = Page(asked=size, token=token, query=QUERY).below(items, lambda key: key)
        found += some
        pages += 1
        items = [items[0] + newer, *items] if newer else items
    assert found == list(range(count, 0, -1))
