"""Proof 1: install, test, upgrade, roll back and uninstall, and nothing is left behind."""

import time

from tests.cluster import figures, kube, release

INSTALL_SECONDS = 90.0
"""From `helm install` to the first published run, the image being there."""


def test_installing_upgrading_and_uninstalling_leave_nothing_behind() -> None:
    before = kube.everything()
    with release.installed() as mesh:
        assert "Phase:          Succeeded" in mesh.test()
        seconds = time.monotonic() - mesh.installed
        figures.note(figures.INSTALLED, seconds, "s")
        mesh.upgrade(tag="next")
        assert mesh.images() == {f"{release.REPOSITORY}:next"}
        assert "Phase:          Succeeded" in mesh.test()
        mesh.rollback()
        assert mesh.images() == {f"{release.REPOSITORY}:dev"}
        assert "Phase:          Succeeded" in mesh.test()
    assert kube.everything() - before == set()
    assert seconds <= INSTALL_SECONDS
