"""How answers are printed: a table for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text


def plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON values, named as in the proto; enum values by name, int64 as text."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """Return a console that styles on a terminal and writes plain text into a pipe."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def table(
    rows: Iterable[Sequence[str]],
    *columns: str,
    title: str | None = None,
    right: Iterable[str] = (),
) -> Table:
    """Return a table of texts; columns named in `right` are aligned to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    aligned = set(right)
    for column in columns:
        made.add_column(column, justify="right" if column in aligned else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def facts(pairs: Mapping[str, str], *, title: str | None = None) -> Table:
    """Return names and values, those that are empty left out."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        show_header=False,
    )
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value:
            made.add_row(name, Text(value))
    return made


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


def parse_day(text: str) -> datetime:
    """Return the first moment of `YYYY-MM-DD` in UTC; raise ValueError otherwise."""
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
