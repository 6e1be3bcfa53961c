"""The folder of files that a tenant starts from."""

import os
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o700
SECRETS: Final = "secrets"


def lay_out(configs: Path, tenant_id: str) -> list[Path]:
    """Write what is missing of `configs/{tenant_id}` and return the files written.

    What is there is never changed, but for `secrets/`, which is closed to others (0700).
    """
    folder = configs / tenant_id
    written = []
    for relative, template in sorted(_walk(files("libs.client").joinpath("templates"), Path())):
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_text(template.read_text().replace("{tenant}", tenant_id))
            written.append(target)
    secrets = folder / SECRETS
    secrets.mkdir(mode=PRIVATE, exist_ok=True)
    secrets.chmod(PRIVATE)
    ignored = secrets / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n")
    return written


def write_secret(configs: Path, tenant_id: str, name: str, text: str) -> Path:
    """Write a secret that only its owner can read, and return its file."""
    folder = configs / tenant_id / SECRETS
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    file = folder / f"{name}.txt"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        os.fchmod(opened.fileno(), 0o600)
        opened.write(text)
    return file


def _walk(folder: Traversable, at: Path) -> Iterator[tuple[Path, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, at / entry.name)
        else:
            yield at / entry.name, entry
