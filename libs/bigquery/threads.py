"""Blocking calls beside the event loop."""

import asyncio
import contextlib
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def in_thread(
    threads: Executor | None, call: Callable[..., T], *args: object, **kwargs: object
) -> T:
    """Run a blocking call in a thread, which cannot be stopped: who is cancelled waits for its end.

    So nothing that a task has asked for happens after the task has ended. How a call ended that
    nobody waits for any more is nobody's business. `threads` None: those that all share.
    """
    here = contextvars.copy_context()
    called = functools.partial(here.run, functools.partial(call, *args, **kwargs))
    work = asyncio.get_running_loop().run_in_executor(threads, called)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({work})
        if not work.cancelled():
            work.exception()
        raise
