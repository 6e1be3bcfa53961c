"""The wheels that an image is made of: those that a lock names, and the product's own."""

import hashlib
import pathlib
import shutil
import sys
from typing import Final

from tools.image.places import out_of, run

KEPT: Final = pathlib.Path.home() / ".cache/convergence/wheels"
"""Downloads by their lock's hash: they are the same for every clone."""
DONE: Final = ".done"
PYTHON: Final = "3.11"
GLIBC: Final = (17, 24, 27, 28, 31, 34, 35, 36)
"""Minor versions of glibc 2 that the base's can stand in for and that wheels are built against."""
LOCKS: Final = {
    "wheels": "deploy/requirements.lock",
    "engine-wheels": "libs/local/engine/requirements.lock",
}


def fetch(root: pathlib.Path) -> None:
    """Lay what both locks of a tree name beside it, downloaded unless `KEPT` has it, and its own wheel."""
    out = out_of(root)
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC]
    target = [f"--python-version={PYTHON}", "--only-binary=:all:", *platforms]
    for name, path in LOCKS.items():
        lock = root / path
        kept = KEPT / hashlib.sha256(lock.read_bytes()).hexdigest()
        if not (kept / DONE).exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            pip += ["--require-hashes", *target, "--platform=manylinux2014_x86_64"]
            run(*pip, f"--dest={kept}", f"--requirement={lock}")
            (kept / DONE).touch()
        shutil.rmtree(out / name, ignore_errors=True)
        shutil.copytree(kept, out / name, ignore=shutil.ignore_patterns(DONE))
    for own in (out / "own").glob("*.whl"):
        own.unlink()
    uv = pathlib.Path(sys.executable).with_name("uv")
    run(uv, "build", "--quiet", "--wheel", "--out-dir", out / "own", root)
