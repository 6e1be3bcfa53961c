"""Files below a tenant's folder: found by glob, never outside of it, never its secrets."""

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Generator
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

SECRETS: Final = "secrets"

TICK: Final = 20_000_000
"""Nanoseconds within which two changes of a file may have the same time."""

COARSE_TICK: Final = 2_000_000_000
"""The same of file systems that keep whole seconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class LocalBlob:
    """A file while it is as it was planned."""

    path: Path
    planned: Input

    @property
    def size_bytes(self) -> int:
        return self.planned.size_bytes

    @contextlib.contextmanager
    def stream(self, start: int, end: int) -> Generator[BinaryIO]:  # noqa: ARG002 whoever reads counts
        """Open the file at `start`; it may be read beyond `end`."""
        with self.seekable() as file:
            file.seek(start)
            yield file

    @contextlib.contextmanager
    def seekable(self) -> Generator[BinaryIO]:
        """Open the file. Raises SourceChanged if another one is there by now."""
        try:
            with self.path.open("rb") as file:
                _check_same(self.planned, os.fstat(file.fileno()))
                yield file
        except FileNotFoundError as error:
            raise _changed(self.planned, "is gone") from error
        except OSError as error:
            raise _unreadable(self.planned.input_id, error) from error


@dataclasses.dataclass(frozen=True, slots=True)
class LocalFiles:
    """The folder of a tenant below `root`.

    now: Nanoseconds since 1970.
    """

    root: Path
    tenant: str
    now: Callable[[], int] = time.time_ns

    def find(self, pattern: str, cancelled: threading.Event) -> list[Input]:
        """Return the files that a glob matches; `content_hash` is left to whoever reads them."""
        paths = find_files(self.root, self.tenant, pattern)
        return [describe(self.root, self.tenant, path, self.now, cancelled) for path in paths]

    def open(self, planned: Input) -> LocalBlob:
        """Return the file if it is as it was planned."""
        return LocalBlob(planned_file(self.root, self.tenant, planned), planned)

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
    real, home = os.path.realpath(path), os.path.realpath(folder)
    if not _below(real, home):
        why = f"{path.relative_to(folder)} lies outside of the tenant's folder; copy it there"
        raise _refused(pattern, why)
    if _below(real, f"{home}/{SECRETS}"):
        raise _refused(pattern, "it matches secrets; allowed are files that are none")
    return Path(real)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _refused(pattern: str, why: str) -> SourceNotAllowed:
    return SourceNotAllowed("path", f"found {pattern!r}; {why}", found=pattern)


def describe(
    root: Path, tenant: str, path: Path, now: Callable[[], int], cancelled: threading.Event
) -> Input:
    """Return what identifies a file as it is: its path below the tenant's folder, size and times.

    Waits until the last change is so long ago that the next one gets another time.

    Raises:
        SourceUnavailable: it is not there any more.
        Cancelled: `cancelled` was set.
    """
    name = path.relative_to(root / tenant).as_posix()
    while True:
        try:
            found = path.stat()
        except OSError as error:
            raise _unreadable(name, error) from error
        age = now() - found.st_ctime_ns
        tick = COARSE_TICK if found.st_ctime_ns % 1_000_000_000 == 0 else TICK
        if not 0 <= age < tick:
            break
        if cancelled.wait((tick - age) / 1_000_000_000):
            raise Cancelled
    return Input(
        input_id=name,
        size_bytes=found.st_size,
        change_time_nanos=found.st_mtime_ns,
        version=str(found.st_ctime_ns),
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
        found = real.stat()
    except OSError as error:
        raise _changed(planned, "is gone") from error
    _check_same(planned, found)
    return real


def _check_same(planned: Input, found: os.stat_result) -> None:
    """Raise SourceChanged where size, the time of the content or that of the file's entry differ."""
    same = (planned.size_bytes, planned.change_time_nanos) == (found.st_size, found.st_mtime_ns)
    if not same or planned.version not in ("", str(found.st_ctime_ns)):
        raise _changed(planned, "was written again")


def _changed(planned: Input, what: str) -> SourceChanged:
    text = f"{planned.input_id} {what} after it was planned; retry the run: it plans anew"
    return SourceChanged(text, source=planned.input_id)


def _unreadable(name: str, error: OSError) -> SourceUnavailable:
    text = f"{name} cannot be read ({error.strerror}); make it readable, then try again"
    return SourceUnavailable(text, source=name)
