"""Files below a tenant's folder: found by glob, never outside of it."""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Final

from services.ingest.chunks import Input
from services.ingest.failures import SourceChanged, SourceNotAllowed, SourceNotFound

BLOCK: Final = 1 << 20


def find_files(root: Path, tenant: str, pattern: str) -> list[Path]:
    """Return the files that a pattern matches below the tenant's folder, sorted by path.

    Raises:
        SourceNotAllowed: the pattern or a match leaves the folder, or names its secrets.
        SourceNotFound: nothing matches.
    """
    folder = root / tenant
    parts = PurePosixPath(pattern).parts
    if not pattern or pattern.startswith(("/", "~")) or ".." in parts or parts[0] == "secrets":
        why = f"found {pattern!r}; allowed is a path or glob below the tenant's folder"
        raise SourceNotAllowed("path", why, found=pattern)
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    for path in found:
        if not path.resolve().is_relative_to(folder.resolve()):
            why = f"{path.relative_to(folder)} is a link out of the tenant's folder; copy the file"
            raise SourceNotAllowed("path", why, found=pattern)
    if not found:
        text = f"no file {tenant}/{pattern}; put one there or correct `path` of the source"
        raise SourceNotFound(text, source=pattern, found="nothing")
    return found


def describe(root: Path, tenant: str, path: Path) -> Input:
    """Return what identifies a file: its path below the tenant's folder, and its content."""
    before = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return Input(
        input_id=path.relative_to(root / tenant).as_posix(),
        content_hash=digest.hexdigest(),
        size_bytes=before.st_size,
        change_time_nanos=before.st_mtime_ns,
    )


def planned_file(root: Path, tenant: str, planned: Input) -> Path:
    """Return the file that a chunk was cut from. Raises SourceChanged if it is not as it was."""
    path = root / tenant / planned.input_id
    if not path.resolve().is_relative_to((root / tenant).resolve()):
        why = f"{planned.input_id} is outside of the tenant's folder"
        raise SourceNotAllowed("chunk", why, found=planned.input_id)
    try:
        now = path.stat()
    except FileNotFoundError as error:
        raise _changed(planned, "is gone") from error
    if now.st_size != planned.size_bytes or now.st_mtime_ns != planned.change_time_nanos:
        raise _changed(planned, "was written again")
    return path


def _changed(planned: Input, what: str) -> SourceChanged:
    text = f"{planned.input_id} {what} after it was planned; retry the run: it plans anew"
    return SourceChanged(text, source=planned.input_id)
