"""A base image of Debian's packages, for machines that reach no image registry."""

import pathlib
import shutil
import tempfile
from typing import Final

from tools.image.places import BASE, DEBIAN, run, say

UNNEEDED: Final = (
    "var/cache/apt/archives/*.deb",
    "var/lib/apt/lists/*",
    "var/log/*.log",
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/locale/*",
    "usr/share/info/*",
)
"""What Debian's own slim image leaves out too, copyright notices excepted."""


def make() -> str:
    """Return the name of the base, made with debootstrap if buildah does not have it."""
    if run("buildah", "images", "--quiet", "--filter", f"reference={BASE}").strip():
        return BASE
    say(f"making {BASE} of Debian's packages, about a minute")
    with tempfile.TemporaryDirectory(prefix="debian-") as folder:
        root = pathlib.Path(folder)
        run("debootstrap", "--variant=minbase", DEBIAN, root)
        for pattern in UNNEEDED:
            for path in root.glob(pattern):
                _remove(path)
        root.chmod(0o755)
        container = run("buildah", "from", "scratch").strip()
        run("buildah", "add", "--quiet", container, root, "/")
        run("buildah", "config", "--env", "LANG=C.UTF-8", container)
        run("buildah", "commit", "--quiet", "--rm", container, BASE)
    return BASE


def _remove(path: pathlib.Path) -> None:
    if path.is_symlink() or path.is_file():
        if path.name != "copyright":
            path.unlink()
    elif path.parent.name == "doc":
        for inner in path.iterdir():
            _remove(inner)
    else:
        shutil.rmtree(path)
