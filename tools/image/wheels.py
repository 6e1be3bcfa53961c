"""The wheels that an image is made of: those that a lock names, and the product's own."""

import pathlib
import sys
from typing import Final

from tools.image.places import OUT, ROOT, run

PYTHON: Final = "3.11"
GLIBC: Final = (17, 24, 27, 28, 31, 34, 35, 36)
"""Minor versions of glibc 2 that the base's can stand in for and that wheels are built against."""
LOCKS: Final = {
    "wheels": ROOT / "deploy/requirements.lock",
    "engine-wheels": ROOT / "libs/local/engine/requirements.lock",
}


def fetch() -> None:
    """Download what both locks name, and build the product's wheel once, into `OUT`."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC]
    target = [f"--python-version={PYTHON}", "--only-binary=:all:", *platforms]
    for name, lock in LOCKS.items():
        if _fetched(OUT / name, lock):
            continue
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        run(*pip, *target, "--platform=manylinux2014_x86_64", "-d", OUT / name, "-r", lock)
        _forget_others(OUT / name, lock)
        (OUT / name / ".lock").write_text(lock.read_text())
    for own in (OUT / "own").glob("*.whl"):
        own.unlink()
    uv = pathlib.Path(sys.executable).with_name("uv")
    run(uv, "build", "--quiet", "--wheel", "--out-dir", OUT / "own", ROOT)


def _fetched(folder: pathlib.Path, lock: pathlib.Path) -> bool:
    kept = folder / ".lock"
    return kept.exists() and kept.read_text() == lock.read_text()


def _forget_others(folder: pathlib.Path, lock: pathlib.Path) -> None:
    """Delete wheels of earlier locks."""
    pinned = {
        (name.strip().lower().replace("-", "_"), version.split()[0])
        for line in lock.read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
        for name, _, version in [line.partition("==")]
    }
    for wheel in folder.glob("*.whl"):
        name, version = wheel.name.split("-")[:2]
        if (name.lower().replace(".", "_"), version) not in pinned:
            wheel.unlink()
