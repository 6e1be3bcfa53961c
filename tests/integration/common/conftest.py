"""One server for each module of tests; its dials and guard are as new for each test."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio
import structlog
from structlog.testing import capture_logs

from tests.integration.common.shapes import Served, call, served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncGenerator[Served]:
    async with served() as found:
        await call(found.channel, "UnaryUnary")
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def trial(server: Served) -> AsyncGenerator[Served]:
    """Yield the module's server with its dials as they were at first, and everybody let in.

    Ends when every call is over on the server's side too, so that none is logged in the next test.
    """
    server.trial.turn()
    server.host.calls.access = None
    task_count = len(asyncio.all_tasks())
    yield server
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > task_count:
            await asyncio.sleep(0.001)


@pytest.fixture
def lines() -> Generator[list[structlog.typing.EventDict]]:
    """Yield the log's lines as they come."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as found:
        yield found
