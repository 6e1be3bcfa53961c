"""Building the images with buildah, and writing them as archives that a cluster loads."""

import pathlib
import tempfile
import tomllib
from typing import Final

from tools.image import base, wheels
from tools.image.places import OUT, ROOT, TARGETS, run, say

CAREFUL: Final = ("--isolation=chroot", "--network=host")
"""Steps of a build see the machine's network, and need no rights beyond root's own."""
LIMITS: Final = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
"""Lower than buildah's own, which a machine without CAP_SYS_RESOURCE cannot give."""


def build(*, own_base: bool, tag: str) -> None:
    """Build every target of the Dockerfile and write each as `OUT`/TARGET.tar.

    Args:
        own_base: Whether the base is made of Debian's packages instead of the pinned image.
        tag: Of the images.
    """
    wheels.fetch()
    arguments = [f"--build-arg=VERSION={version()}", f"--build-arg=REVISION={revision()}"]
    if own_base:
        arguments.append(f"--build-arg=BASE={base.make()}")
    for target, repository in TARGETS.items():
        name = f"{repository}:{tag}"
        say(f"building {name}")
        how = [*CAREFUL, *LIMITS, "--layers", "--quiet", f"--target={target}", f"--tag={name}"]
        run("buildah", "build", *how, *arguments, f"--file={ROOT}/deploy/Dockerfile", ROOT)
        write(name, OUT / f"{target}.tar")


def write(name: str, archive: pathlib.Path) -> None:
    """Write an image as a docker archive."""
    archive.unlink(missing_ok=True)
    run("buildah", "push", "--quiet", name, f"docker-archive:{archive}:{name}")


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def revision() -> str:
    return run("git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=40").strip()


def compressed(name: str) -> int:
    """Return bytes of an image's layers as a registry keeps them, each compressed with gzip."""
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        run("buildah", "push", "--quiet", "--format=oci", name, f"oci:{folder}:packed")
        return sum(
            path.stat().st_size
            for path in pathlib.Path(folder, "blobs").rglob("*")
            if path.is_file()
        )
