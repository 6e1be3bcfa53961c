"""Blocking calls beside the event loop."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[..., T], *args: object, **kwargs: object) -> T:
    """Run a blocking call in a thread, which cannot be stopped: who is cancelled waits for its end.

    So nothing that a task has asked for happens after the task has ended. How a call ended that
    nobody waits for any more is nobody's business.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({work})
        if not work.cancelled():
            work.exception()
        raise
