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
            found = self._read(self._root / tenant / "secrets" / file, name)
            if found is not None:
                return found
        return None

    def _read(self, path: Path, name: str) -> SecretText | None:
        shown = str(path.relative_to(self._root))
        if any(part.is_symlink() for part in (path, path.parent, path.parent.parent)):
            text = f"{shown} is a symbolic link; allowed is a plain file: copy it there"
            raise SecretNotPrivate(text, secret=name, path=shown, mode="link")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            text = f"{shown} cannot be opened ({error.strerror}); make it readable for the service"
            raise SecretNotFound(text, secret=name) from error
        try:
            _private(os.fstat(descriptor).st_mode, shown, name)
            raw = os.read(descriptor, LONGEST + 1)
        finally:
            os.close(descriptor)
        if len(raw) > LONGEST:
            text = f"{shown} is longer than {LONGEST} bytes; a secret is not"
            raise SecretNotFound(text, secret=name)
        return SecretText.parse(raw, shown, name)


def _private(mode: int, shown: str, name: str) -> None:
    if stat.S_ISREG(mode) and not mode & OTHERS:
        return
    found = f"{stat.S_IMODE(mode):04o}" if stat.S_ISREG(mode) else stat.filemode(mode)
    text = f"{shown} has mode {found}; allowed is a plain file with 0600 or 0400: chmod 600 {shown}"
    raise SecretNotPrivate(text, secret=name, path=shown, mode=found)
