"""One server for each module of tests; its dials and guard are as new for each test."""

from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio
import structlog
from structlog.testing import capture_logs

from tests.integration.common.shapes import Served, served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncGenerator[Served]:
    async with served() as found:
        yield found


@pytest.fixture
def trial(server: Served) -> Served:
    """Return the module's server with its dials as they were at first, and everybody let in."""
    server.trial.turn()
    server.host.calls.access = None
    return server


@pytest.fixture
def lines() -> Generator[list[structlog.typing.EventDict]]:
    """Yield the log's lines as they come."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as found:
        yield found
