"""How answers are printed: a table for people, JSON for programs."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any, Final, TypeVar

import click
from convergence.orchestrator.v1.run_pb2 import RunLane
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console, RenderableType

from libs.client.cli.listings import Facts, Listing

Item = TypeVar("Item")

DECIMAL: Final = re.compile(r"-?\d+\.\d+")


def plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON values, named as in the proto; enum values by name, int64 as text."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show(message: Message, parts: Iterable[RenderableType], *, as_json: bool) -> int:
    """Print a message, as JSON or in parts for people; return exit status 0."""
    if as_json:
        print_json(plain(message))
    else:
        shown = console()
        for part in parts:
            shown.print(part)
    return 0


def console(*, stderr: bool = False) -> Console:
    """Return a console that styles on a terminal and writes plain text into a pipe."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def first(found: Sequence[Item], limit: int) -> Sequence[Item]:
    """Return the first `limit` of `found`; say so where that leaves some out."""
    if len(found) > limit:
        click.echo(f"the first {limit}; --limit shows more", err=True)
    return found[:limit]


def print_table(listing: Listing, nothing: str) -> None:
    """Print a table; where it has no rows say `nothing`, which is no output but a remark."""
    if listing.rows:
        console().print(listing)
    else:
        click.echo(nothing, err=True)


def table(
    rows: Iterable[Sequence[str]],
    *columns: str,
    title: str = "",
    right: Iterable[str] = (),
    prose: Iterable[str] = (),
) -> Listing:
    """Return a table of texts; columns in `right` are aligned right, those in `prose` may wrap."""
    return Listing(
        columns=columns,
        rows=tuple(map(tuple, rows)),
        title=title,
        right=frozenset(right),
        prose=frozenset(prose),
    )


def facts(pairs: Mapping[str, str], *, title: str = "") -> Facts:
    """Return names and values, those that are empty left out."""
    return Facts(pairs=pairs, title=title)


def amount(text: str) -> str:
    """Return decimal text without zeros at its end, every other digit kept; other text as it is."""
    return text.rstrip("0").rstrip(".") if DECIMAL.fullmatch(text) else text


def moment(time: Timestamp) -> str:
    """Return a time as `2026-11-24 16:05:09Z`, empty if it is unset."""
    if not time.seconds and not time.nanos:
        return ""
    return time.ToDatetime(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def day(time: Timestamp) -> str:
    return moment(time)[:10]


def short_state(name: str) -> str:
    """Return `RUN_STATE_HELD` as `HELD`."""
    return name.partition("_STATE_")[2] or name


def short_lane(lane: RunLane) -> str:
    """Return `RUN_LANE_BACKFILL` as `backfill`; empty where an older server says nothing."""
    return RunLane.Name(lane).removeprefix("RUN_LANE_").lower() if lane else ""
