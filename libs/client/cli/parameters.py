"""What arguments may be: whole numbers, spans of time, days. Each refusal names found and allowed."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

SPANS: Final = {"m": "minutes", "h": "hours", "d": "days"}
LONGEST: Final = timedelta(days=36_500)
DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class Whole(click.ParamType[int]):
    """A whole number from `least` to `most`."""

    name = "number"

    def __init__(self, least: int = 0, most: int = 2**31 - 1) -> None:
        self.least, self.most = least, most

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        text = str(value)
        if re.fullmatch(r"\d{1,10}", text) and self.least <= int(text) <= self.most:
            return int(text)
        allowed = f"allowed is a whole number from {self.least} to {self.most}"
        return self.fail(f"found {text!r}; {allowed}", param, ctx)


class Span(click.ParamType[timedelta]):
    """A span such as `30m`, `12h` or `7d`."""

    name = "span"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if found := re.fullmatch(r"(\d{1,9})([mhd])", str(value)):
            span = timedelta(**{SPANS[found[2]]: int(found[1])})
            if span <= LONGEST:
                return span
        allowed = "allowed is a number and m, h or d, e.g. 7d, up to 36500d"
        return self.fail(f"found {value!r}; {allowed}", param, ctx)


class Day(click.ParamType[datetime]):
    """A day, `YYYY-MM-DD`: its first moment in UTC."""

    name = "day"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            if DAY.fullmatch(text):
                return datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError:
            pass
        allowed = "allowed is YYYY-MM-DD, e.g. 2026-11-20"
        return self.fail(f"found {text!r}; {allowed}", param, ctx)


def date_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--date`."""
    return click.option("--date", "window_time", metavar="YYYY-MM-DD", type=Day(), help=text)


def limit_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--limit`."""
    return click.option(
        "--limit", type=Whole(1), default=50, show_default=True, help="How many at most."
    )


def output_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--output`."""
    return click.option(
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="For people or for programs.",
    )
