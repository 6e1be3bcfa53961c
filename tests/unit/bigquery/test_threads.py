"""Blocking calls beside the event loop."""

import asyncio
import contextvars
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from libs.bigquery.threads import in_thread


async def test_the_answer_and_the_failure_are_those_of_the_call() -> None:
    assert await in_thread(None, int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread(None, int, "seven")


async def test_a_call_takes_a_thread_of_those_that_it_was_given_and_what_its_task_knows() -> None:
    named = contextvars.ContextVar[str]("named")
    named.set("here")
    with ThreadPoolExecutor(1, "own") as own:
        thread = await in_thread(own, lambda: (threading.current_thread().name, named.get()))
    assert thread == ("own_0", "here")


async def test_who_is_cancelled_ends_after_the_call_however_often() -> None:
    begun, go_on, steps = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go_on.wait(10)
        steps.append("done")

    task = asyncio.create_task(in_thread(None, work))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.wait({task}, timeout=0.01)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["done"]


async def test_a_call_that_fails_after_its_caller_was_cancelled_is_no_unheard_error() -> None:
    begun, go_on = threading.Event(), threading.Event()
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))

    def work() -> None:
        begun.set()
        go_on.wait(10)
        raise ValueError

    task = asyncio.create_task(in_thread(None, work))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    go_on.set()
    await asyncio.wait({task})
    assert task.cancelled()
    del task
    gc.collect()
    assert unheard == []
