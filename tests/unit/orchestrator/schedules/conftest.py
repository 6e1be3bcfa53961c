"""Stories are long: what the orchestrator logs in them is left out."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = structlog.get_config()
    critical = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=critical, cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)
