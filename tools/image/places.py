"""Where images come from and where they go."""

import pathlib
import shutil
import subprocess
import sys
from typing import Final

ROOT: Final = pathlib.Path(__file__).resolve().parents[2]
OUT: Final = ROOT / "build/image"
TARGETS: Final = {"convergence": "localhost/convergence", "engine": "localhost/convergence-engine"}
"""Image by target of the Dockerfile."""
DEBIAN: Final = "bookworm"
BASE: Final = f"localhost/debian:{DEBIAN}"
NEEDED: Final = ("buildah", "debootstrap")
"""What building asks of Debian's packages."""


class Refusal(SystemExit):
    """Something is missing or did not work: ends the command with one sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"image: {sentence}")


def out_of(root: pathlib.Path) -> pathlib.Path:
    """Return where what is built of another tree of the project lies."""
    return root / OUT.relative_to(ROOT)


def run(*words: object) -> str:
    """Run a command and return what it wrote; end with its last lines if it fails."""
    if not shutil.which(str(words[0])):
        raise Refusal(f"{words[0]} is missing; make cluster-packages installs what it needs")
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).splitlines()[-30:]
        raise Refusal("\n".join([f"{words[0]} failed", *lines]))
    return done.stdout


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
