"""Building the images with buildah, and writing them as archives that a cluster loads."""

import pathlib
import tempfile
import tomllib
from collections.abc import Iterable
from typing import Final

from tools.image import base, wheels
from tools.image.places import OUT, ROOT, TARGETS, out_of, run, say

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
    build_of(ROOT, revision(), TARGETS, own_base=own_base, tag=tag)


def build_of(
    root: pathlib.Path, commit: str, targets: Iterable[str], *, own_base: bool, tag: str
) -> None:
    """Build targets of a tree, which is that of a commit, and write each as TARGET.tar beside it."""
    wheels.fetch(root)
    arguments = [f"--build-arg=VERSION={version(root)}", f"--build-arg=REVISION={commit}"]
    if own_base:
        arguments.append(f"--build-arg=BASE={base.make()}")
    for target in targets:
        name = f"{TARGETS[target]}:{tag}"
        say(f"building {name}")
        how = [*CAREFUL, *LIMITS, "--layers", "--quiet", f"--target={target}", f"--tag={name}"]
        run("buildah", "build", *how, *arguments, f"--file={root}/deploy/Dockerfile", root)
        write(name, out_of(root) / f"{target}.tar")


def write(name: str, archive: pathlib.Path) -> None:
    """Write an image as a docker archive."""
    archive.unlink(missing_ok=True)
    run("buildah", "push", "--quiet", name, f"docker-archive:{archive}:{name}")


def version(root: pathlib.Path = ROOT) -> str:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
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
