"""Tenants' files on a volume of the node: the tests write there what pods read."""

import os
import pathlib
import shutil
from typing import Any, Final

from tests.cluster import kube, release
from tools.cluster.places import NODE_IP, RUN

USER: Final = 65532
FOLDER: Final = RUN / "tenants"
CLAIM: Final = "tenants"
SOURCE_PORT: Final = 8090
"""Where a test may serve a source of its own, at the node's address."""


def values() -> dict[str, Any]:
    """Return the values with which a release reads `FOLDER` and sources on the node."""
    extra = [{"cidr": f"{NODE_IP}/32", "ports": [SOURCE_PORT]}]
    return {
        "configs": {"type": "persistentVolumeClaim", "persistentVolumeClaim": CLAIM},
        "services": {"ingest": {"settings": {"ALLOW_PRIVATE_ADDRESSES": "true"}}},
        "network": {"sources": {"extra": extra}},
    }


def make() -> pathlib.Path:
    """Make the volume, empty, and the claim to it in the release's namespace."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    size = {"storage": "1Gi"}
    common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": CLAIM},
            "spec": {**common, "capacity": size, "hostPath": {"path": str(FOLDER)}},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM, "namespace": release.NAMESPACE},
            "spec": {**common, "volumeName": CLAIM, "resources": {"requests": size}},
        },
    )
    return FOLDER


def remove() -> None:
    kube.kubectl("delete", "persistentvolume", CLAIM, "--ignore-not-found", "--wait=false")
    shutil.rmtree(FOLDER, ignore_errors=True)


def give(folder: pathlib.Path) -> None:
    """Let the pods' user own all below a folder, as secrets are read by their owner only."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)
