"""One scratch dataset for all checks of a process."""

from collections.abc import Iterator

import pytest

from tests.cloud import places
from tests.cloud.scratch import Scratch
from tests.support.engine import start_engine

collect_ignore = [] if places.REAL else ["test_only_there.py"]


@pytest.fixture(scope="session")
def at(request: pytest.FixtureRequest) -> Iterator[Scratch]:
    """Google's BigQuery if `make cloud` says a project, else an embedded one."""
    if places.REAL:
        with places.google(places.PROJECT, places.LOCATION) as made:
            yield made
        return
    with (
        start_engine(template=request.getfixturevalue("template")) as engine,
        places.embedded(engine) as made,
    ):
        yield made
