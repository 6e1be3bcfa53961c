"""`python -m tests.cluster [--slice] [PROOF…]`: builds what is missing, starts a cluster, proves, stops it."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Final

from tests.cluster import previous
from tools.cluster import building as programs
from tools.cluster import lifecycle
from tools.image import building as images
from tools.image.places import NEEDED, OUT, TARGETS, run

HERE: Final = pathlib.Path(__file__).parent
PROOFS: Final = sorted(path.stem.removeprefix("proof_") for path in HERE.glob("proof_*.py"))
SLICE: Final = "slice"
UPGRADE: Final = "upgrade"
LEFT_OUT: Final = "the slice of the cluster test is left out: "


def main() -> int:
    chosen = wish(sys.argv[1:])
    if chosen.slice and (why := _missing()):
        print(LEFT_OUT + why)
        return 0
    names = [SLICE] if chosen.slice else chosen.proofs or [n for n in PROOFS if n != SLICE]
    programs.build()
    archives = _images()
    if UPGRADE in names:
        archives.append(str(previous.build()))
    lifecycle.up()
    try:
        lifecycle.load(archives)
        return _prove(names)
    finally:
        if not chosen.keep:
            lifecycle.down()


def wish(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument(
        "--slice",
        action="store_true",
        help="install, helm test, one disturbance; only if all is built",
    )
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    parser.add_argument("proofs", nargs="*", metavar="PROOF", help="without: all but the slice")
    chosen = parser.parse_args(arguments)
    if unknown := sorted(set(chosen.proofs) - set(PROOFS)):
        parser.error(f"found {', '.join(unknown)}; allowed are {', '.join(PROOFS)}")
    return chosen


def _missing() -> str:
    """Say why a cluster cannot be started at once; empty if it can."""
    if os.geteuid() != 0:
        return "it needs root"
    if names := programs.missing():
        return f"{', '.join(names)} not built (make cluster-build)"
    if absent := lifecycle.absent() + [name for name in NEEDED if not shutil.which(name)]:
        return f"{', '.join(absent)} not installed (make cluster-packages)"
    return ""


def _images() -> list[str]:
    """Build the images, and one more to upgrade to, which differs in its label alone."""
    images.build(own_base=True, tag="dev")
    name = TARGETS["convergence"]
    container = run("buildah", "from", "--pull-never", f"{name}:dev").strip()
    run("buildah", "config", "--label=org.opencontainers.image.ref.name=next", container)
    run("buildah", "commit", "--quiet", "--rm", container, f"{name}:next")
    images.write(f"{name}:next", OUT / "next.tar")
    return [str(OUT / f"{archive}.tar") for archive in (*TARGETS, "next")]


def _prove(names: list[str]) -> int:
    files = [str(HERE / f"proof_{name}.py") for name in names]
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-o",
        "python_files=proof_*.py",
        "-p",
        "no:randomly",
    ]
    pytest += ["-o", "timeout=600", *files]
    return subprocess.run(lifecycle.command(*pytest), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
