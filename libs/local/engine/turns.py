"""Whose turn it is to change something. Imports nothing of bqemulator."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import Self

Concerns = Callable[[str], bool]
"""Whether a change has to do with a table, named project.dataset.table."""

_MADE = re.compile(r".*/projects/[^/]+/datasets(/[^/]+/tables)?/?")
_TABLE = re.compile(r".*/projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)/?")


def every_table(_: str) -> bool:
    """Be what a change concerns of which nobody knows more."""
    return True


def of_request(method: str, path: str) -> Concerns:
    """Return what a REST request's change has to do with: a table that it drops, none that it makes, else all.

    To what is only being made nobody appends yet.
    """
    if method == "POST" and _MADE.fullmatch(path):
        return lambda _: False
    if method == "DELETE" and (named := _TABLE.fullmatch(path)):
        dropped = ".".join(named.groups()).lower()
        return lambda table: table.lower() == dropped
    return every_table


class Turns:
    """One change at a time; but an append goes on beside a change that does not concern its table.

    As a context manager it is a change that concerns every table. Changes nest in a thread, and
    inside an append there is no further waiting. Appends take turns among themselves.
    """

    def __init__(self) -> None:
        self._changes = threading.RLock()
        self._appends = threading.Lock()
        self._moved = threading.Condition()
        self._concerns: Concerns | None = None
        self._appended: str | None = None
        self._depth = 0
        self._own = threading.local()

    def __enter__(self) -> Self:
        """Begin a change that concerns every table."""
        self._begin(every_table)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._end()

    @contextlib.contextmanager
    def change(self, concerns: Concerns) -> Iterator[None]:
        """Change what `concerns` says inside the block, while no other change is made."""
        self._begin(concerns)
        try:
            yield
        finally:
            self._end()

    @contextlib.contextmanager
    def append(self, table: str) -> Iterator[None]:
        """Append to `table` inside the block, while no change concerns it."""
        with self._appends:
            with self._moved:
                self._moved.wait_for(lambda: self._concerns is None or not self._concerns(table))
                self._appended = table
            self._own.appends = True
            try:
                yield
            finally:
                self._own.appends = False
                with self._moved:
                    self._appended = None
                    self._moved.notify_all()

    def _begin(self, concerns: Concerns) -> None:
        if getattr(self._own, "appends", False):
            return
        self._changes.acquire()
        self._depth += 1
        if self._depth == 1:
            with self._moved:
                self._concerns = concerns
                self._moved.wait_for(lambda: self._appended is None or not concerns(self._appended))

    def _end(self) -> None:
        if getattr(self._own, "appends", False):
            return
        self._depth -= 1
        if not self._depth:
            with self._moved:
                self._concerns = None
                self._moved.notify_all()
        self._changes.release()
