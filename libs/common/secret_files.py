"""Secrets from owner-only files below a tenant's folder."""

import os
import re
import stat
from pathlib import Path
from typing import Final

from libs.common.names import TENANT_ID
from libs.common.secrets import SecretNotFound, SecretNotPrivate, SecretText

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
LONGEST: Final = 64 * 1024


class FileSecrets:
    """`{root}/{tenant}/secrets/{name}` or `{name}.txt`: a plain file that only its owner may read.

    It is read anew each time, so that a corrected secret is used at once.
    """

    keep_seconds: Final = 0.0

    def __init__(self, root: Path) -> None:
        self._root = root

    def describe(self, tenant: str, name: str) -> str:
        return f"the file {tenant}/secrets/{name}.txt"

    def find(self, tenant: str, name: str) -> SecretText | None:
        if not (TENANT_ID.fullmatch(tenant) and NAME.fullmatch(name)):
            text = f"secret name {name!r} is none; allowed is {NAME.pattern}"
            raise SecretNotFound(text, secret=name)
        for file in (name, f"{name}.txt"):
            path = self._root / tenant / "secrets" / file
            if path.is_symlink() or path.exists():
                return self._read(path, f"{tenant}/secrets/{file}", name)
        return None

    @staticmethod
    def _read(path: Path, shown: str, name: str) -> SecretText:
        if any(part.is_symlink() for part in (path, path.parent, path.parent.parent)):
            text = f"{shown} is a symbolic link; allowed is a plain file: copy it there"
            raise SecretNotPrivate(text, secret=name, path=shown, mode="link")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or mode & OTHERS:
                shown_mode = f"{stat.S_IMODE(mode):04o}"
                raise SecretNotPrivate(
                    f"{shown} has mode {shown_mode}; allowed is a plain file with 0600 or 0400: "
                    f"chmod 600 {shown}",
                    secret=name,
                    path=shown,
                    mode=shown_mode,
                )
            return SecretText(file.read(LONGEST).decode().strip())
