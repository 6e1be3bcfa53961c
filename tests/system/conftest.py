"""One mesh for all stories that a test process tells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.meshes import RunningMesh, running_mesh


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    folder: Path = tmp_path_factory.mktemp("mesh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVERGENCE_AUTH_REFRESH_SECONDS", "1")
        with running_mesh(folder) as running:
            yield running


@pytest.fixture(autouse=True)
def _dials_as_recorded(mesh: RunningMesh) -> None:
    mesh.dial()
