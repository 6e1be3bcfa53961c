"""Files that only their owner may read: how they are read and made."""

import os
import stat
from pathlib import Path

from services.auth.signing_keys import NotInitialized, SigningKeyUnusable


def read_private(path: Path, what: str) -> bytes:
    """Return the content of an owner-only regular file.

    Raises:
        NotInitialized: there is no such file.
        SigningKeyUnusable: it is a link or no file, belongs to somebody else, or others may read it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotInitialized(f"{what} {path}") from error
    except OSError as error:
        advice = "put a regular file of the server's own user there"
        raise SigningKeyUnusable(str(path), f"cannot be read ({error.strerror})", advice) from error
    try:
        _refuse_shared(path, os.fstat(handle))
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read()
    finally:
        os.close(handle)


def _refuse_shared(path: Path, found: os.stat_result) -> None:
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    if not stat.S_ISREG(found.st_mode):
        raise SigningKeyUnusable(str(path), "is no regular file", "put a file there", mode=mode)
    if found.st_mode & 0o077:
        raise SigningKeyUnusable(
            str(path), f"has mode {mode}, so others may use it", f"chmod 600 {path}", mode=mode
        )
    if found.st_uid != os.geteuid():
        advice = "chown it to the user that runs auth"
        raise SigningKeyUnusable(str(path), "belongs to another user", advice, mode=mode)


def create_private(path: Path, content: bytes) -> bool:
    """Write an owner-only file unless there is one; say whether it was written.

    The file appears whole or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
