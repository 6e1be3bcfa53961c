"""One mesh for all stories of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.meshes import RunningMesh, running_mesh


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    folder: Path = tmp_path_factory.mktemp("mesh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVERGENCE_AUTH_REFRESH_SECONDS", "1")
        with running_mesh(folder) as running:
            yield running


@pytest.fixture(autouse=True)
def _dials_as_recorded(request: pytest.FixtureRequest) -> None:
    if "mesh" in request.fixturenames:
        request.getfixturevalue("mesh").dial()
