"""Files below a tenant's folder: found by glob, never outside of it, never its secrets."""

import contextlib
import dataclasses
import hashlib
import threading
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from services.ingest.chunks import Input
from services.ingest.failures import (
    Cancelled,
    SourceChanged,
    SourceNotAllowed,
    SourceNotFound,
    SourceUnavailable,
)

BLOCK: Final = 1 << 20
SECRETS: Final = "secrets"


@dataclasses.dataclass(frozen=True, slots=True)
class LocalBlob:
    """A file as it is now."""

    path: Path
    size_bytes: int

    @contextlib.contextmanager
    def stream(self, start: int, end: int) -> Generator[BinaryIO]:  # noqa: ARG002 whoever reads counts
        """Open the file at `start`; it may be read beyond `end`."""
        with self.path.open("rb") as file:
            file.seek(start)
            yield file

    @contextlib.contextmanager
    def seekable(self) -> Generator[BinaryIO]:
        """Open the file."""
        with self.path.open("rb") as file:
            yield file


@dataclasses.dataclass(frozen=True, slots=True)
class LocalFiles:
    """The folder of a tenant below `root`."""

    root: Path
    tenant: str

    def find(self, pattern: str, cancelled: threading.Event) -> list[Input]:
        """Return the files that a glob matches, hashed."""
        paths = find_files(self.root, self.tenant, pattern)
        return [describe(self.root, self.tenant, path, cancelled) for path in paths]

    def open(self, planned: Input) -> LocalBlob:
        """Return the file if it is as it was planned."""
        return LocalBlob(planned_file(self.root, self.tenant, planned), planned.size_bytes)

    def check(self, planned: Input) -> None:
        """Raise SourceChanged if the file is no longer as it was planned."""
        planned_file(self.root, self.tenant, planned)


def find_files(root: Path, tenant: str, pattern: str) -> list[Path]:
    """Return the files that a pattern matches below the tenant's folder, sorted by path.

    Raises:
        SourceNotAllowed: the pattern or a match leaves the folder, or is one of its secrets.
        SourceNotFound: nothing matches.
    """
    folder = root / tenant
    parts = PurePosixPath(pattern).parts
    if not parts or pattern.startswith(("/", "~")) or ".." in parts or "\0" in pattern:
        raise _refused(pattern, "allowed is a path or glob below the tenant's folder")
    try:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError) as error:
        raise _refused(pattern, "allowed is a glob in which ** stands alone in its part") from error
    for path in found:
        _check(path, folder, pattern)
    if not found:
        text = f"no file {tenant}/{pattern}; put one there or correct `path` of the source"
        raise SourceNotFound(text, source=pattern, found="nothing")
    return found


def _check(path: Path, folder: Path, pattern: str) -> Path:
    """Return where a match really is. Raises SourceNotAllowed."""
    real, home = path.resolve(), folder.resolve()
    if not real.is_relative_to(home):
        why = f"{path.relative_to(folder)} lies outside of the tenant's folder; copy it there"
        raise _refused(pattern, why)
    if real.is_relative_to(home / SECRETS):
        raise _refused(pattern, "it matches secrets; allowed are files that are none")
    return real


def _refused(pattern: str, why: str) -> SourceNotAllowed:
    return SourceNotAllowed("path", f"found {pattern!r}; {why}", found=pattern)


def describe(root: Path, tenant: str, path: Path, cancelled: threading.Event) -> Input:
    """Return what identifies a file: its path below the tenant's folder, and its content.

    Raises:
        SourceUnavailable: it cannot be read.
        Cancelled: `cancelled` was set.
    """
    name = path.relative_to(root / tenant).as_posix()
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            before = path.stat()
            while block := file.read(BLOCK):
                digest.update(block)
                if cancelled.is_set():
                    raise Cancelled
    except OSError as error:
        text = f"{name} cannot be read ({error.strerror}); make it readable, then try again"
        raise SourceUnavailable(text, source=name) from error
    return Input(
        input_id=name,
        content_hash=digest.hexdigest(),
        size_bytes=before.st_size,
        change_time_nanos=before.st_mtime_ns,
    )


def planned_file(root: Path, tenant: str, planned: Input) -> Path:
    """Return the file that a chunk was cut from.

    Raises:
        SourceChanged: it is not as it was.
        SourceNotAllowed: it is none of the tenant's files.
    """
    folder = root / tenant
    named = PurePosixPath(planned.input_id)
    if named.is_absolute() or ".." in named.parts:
        raise _refused(planned.input_id, "allowed is a path below the tenant's folder")
    real = _check(folder / named, folder, planned.input_id)
    try:
        now = real.stat()
    except OSError as error:
        raise _changed(planned, "is gone") from error
    if now.st_size != planned.size_bytes or now.st_mtime_ns != planned.change_time_nanos:
        raise _changed(planned, "was written again")
    return real


def _changed(planned: Input, what: str) -> SourceChanged:
    text = f"{planned.input_id} {what} after it was planned; retry the run: it plans anew"
    return SourceChanged(text, source=planned.input_id)
