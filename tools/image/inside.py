"""Running programs on an image's own files, as its own user, and looking at those files."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Final

from tools.image.places import run

USER: Final = 65532


@contextlib.contextmanager
def mounted(name: str) -> Iterator[pathlib.Path]:
    """Give the root of an image's files, on a layer of its own that is thrown away."""
    container = run("buildah", "from", "--pull-never", name).strip()
    try:
        yield pathlib.Path(run("buildah", "mount", container).strip())
    finally:
        run("buildah", "rm", container)


def command(root: pathlib.Path, words: list[str]) -> list[str]:
    """Return `words` as a command with `root` as its file system and the machine's network.

    It runs as `USER`, who owns nothing there: only /tmp can be written to.
    """
    into = ["unshare", "--mount", "--pid", "--fork", f"--root={root}"]
    return [*into, "--mount-proc", f"--setuid={USER}", f"--setgid={USER}", "--wd=/tmp", *words]


def size(root: pathlib.Path) -> int:
    """Return bytes of all files below `root`, each counted once however many names it has."""
    seen = {
        (status.st_dev, status.st_ino): status.st_size
        for path in root.rglob("*")
        if not path.is_dir() or path.is_symlink()
        for status in [path.lstat()]
    }
    return sum(seen.values())
