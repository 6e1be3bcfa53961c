"""Waiting for something to become true, for tests."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE_SECONDS = 0.05


def eventually(check: Callable[[], T], *, within: float) -> T:
    """Call `check` until it returns something true, and return that.

    An AssertionError counts as "not yet"; other exceptions pass through.

    Raises:
        AssertionError: `within` seconds have passed.
    """
    end, idle = time.monotonic() + within, threading.Event()
    while True:
        last: AssertionError | None = None
        try:
            if found := check():
                return found
        except AssertionError as error:
            last = error
        if time.monotonic() >= end:
            raise last or AssertionError(f"not true within {within} s")
        idle.wait(_PAUSE_SECONDS)
