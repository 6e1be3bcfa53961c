"""Waits for what moves by itself: a bar on a terminal, nothing in a pipe."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from libs.client.cli import output

T = TypeVar("T")
Seen_co = TypeVar("Seen_co", covariant=True)


class Wait(Protocol[Seen_co]):
    """Waits until nothing moves a resource by itself, and returns it; is told of each change of it."""

    def __call__(self, name: str, /, *, on_change: Callable[[Seen_co], None]) -> Seen_co: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a bar shows: `completed` of `total` parts, of which None says that nobody knows how many."""

    state: str
    total: int | None
    completed: int
    detail: str


def bars(console: Console) -> Progress:
    """Return a place for bars, each with a `detail` behind it; it draws only on a terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[detail]}", markup=False),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


@contextlib.contextmanager
def progress(
    console: Console, label: str, drawn: Callable[[T], Drawn]
) -> Iterator[Callable[[T], None]]:
    """Yield what to call with each state."""
    with bars(console) as bar:
        task = bar.add_task(label, total=None, detail="")

        def show(one: T) -> None:
            now = drawn(one)
            bar.update(
                task,
                description=f"{label} {now.state}",
                total=now.total,
                completed=now.completed,
                detail=now.detail,
            )

        yield show


def followed(name: str, wait: Wait[T], drawn: Callable[[T], Drawn], *, noun: str, again: str) -> T:
    """Wait with a bar, and return what was waited for; who stops waiting is told how to go on."""
    try:
        with progress(output.console(stderr=True), name.rpartition("/")[2], drawn) as show:
            return wait(name, on_change=show)
    except KeyboardInterrupt:
        click.echo(f"\nnobody watches any more, but the {noun} goes on: {again}", err=True)
        raise
