"""Arguments of the command line."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from libs.client.cli.parameters import Day, Span, Whole


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Whole(1), "1", 1),
        (Whole(0, 65535), "65535", 65535),
        (Span(), "30m", timedelta(minutes=30)),
        (Span(), "0m", timedelta()),
        (Span(), "7d", timedelta(days=7)),
        (Day(), "2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_arguments_are_read_as_what_they_mean(
    kind: click.ParamType[object], text: str, value: object
) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text", "allowed"),
    [
        (Whole(1), "0", "allowed is a whole number from 1 to 2147483647"),
        (Whole(1), "-1", "from 1 to"),
        (Whole(1), "x", "from 1 to"),
        (Whole(0, 65535), "65536", "from 0 to 65535"),
        (Whole(0), "9" * 30, "from 0 to"),
        (Span(), "7", "allowed is a number and m, h or d, e.g. 7d"),
        (Span(), "-1d", "e.g. 7d"),
        (Span(), "999999999d", "up to 36500d"),
        (Day(), "2026-13-01", "allowed is YYYY-MM-DD"),
        (Day(), "20.11.2026", "allowed is YYYY-MM-DD"),
        (Day(), "20261120", "allowed is YYYY-MM-DD"),
        (Day(), "2026-11-20T00:00", "allowed is YYYY-MM-DD"),
    ],
)
def test_anything_else_is_refused_with_what_was_found_and_what_is_allowed(
    kind: click.ParamType[object], text: str, allowed: str
) -> None:
    with pytest.raises(click.BadParameter) as refused:
        kind.convert(text, None, None)
    assert f"found '{text}'; " in refused.value.message
    assert allowed in refused.value.message
