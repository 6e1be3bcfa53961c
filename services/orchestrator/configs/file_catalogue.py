"""The catalogue in a directory: one folder a tenant, read again when a file changes."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from libs.common.names import TENANT_ID
from services.orchestrator.configs.catalogue import Entry
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.configs.folder import SUFFIXES, Folder
from services.orchestrator.configs.resolve import resolve
from services.orchestrator.specs import PipelineSpec

MAX_BYTES: Final = 1024 * 1024
MAX_FILES: Final = 5000

Signature: TypeAlias = tuple[tuple[str, int, int, int, int], ...]


@dataclasses.dataclass(slots=True)
class _Known:
    """What was read of a tenant, and the last good version of each pipeline."""

    signature: Signature
    folder: Folder
    read_time: datetime
    entries: dict[str, Entry] = dataclasses.field(default_factory=dict)
    good: dict[str, tuple[PipelineSpec, datetime]] = dataclasses.field(default_factory=dict)


class FileCatalogue:
    """Catalogue below `root`. `clock` returns the time in UTC."""

    def __init__(self, root: Path, *, clock: Callable[[], datetime]) -> None:
        self._root = root
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def tenants(self) -> tuple[str, ...]:
        try:
            names = [path.name for path in self._root.iterdir() if path.is_dir()]
        except FileNotFoundError:
            return ()
        return tuple(sorted(name for name in names if TENANT_ID.fullmatch(name)))

    def pipelines(self, tenant: str) -> tuple[str, ...]:
        known = self._current(tenant)
        return known.folder.ids("pipelines") if known else ()

    def get(self, tenant: str, pipeline: str) -> Entry | None:
        known = self._current(tenant)
        if known is None or not known.folder.paths("pipelines", pipeline):
            return None
        if pipeline not in known.entries:
            known.entries[pipeline] = self._entry(known, pipeline)
        return known.entries[pipeline]

    def strays(self, tenant: str) -> tuple[FileError, ...]:
        """Return an error for each of a tenant's files that no id can name."""
        known = self._current(tenant)
        return known.folder.strays() if known else ()

    def _entry(self, known: _Known, pipeline: str) -> Entry:
        spec, errors = resolve(known.folder, pipeline)
        if spec is not None:
            known.good[pipeline] = (spec, known.read_time)
        last, load_time = known.good.get(pipeline, (None, known.read_time))
        return Entry(spec=last, errors=errors, load_time=load_time)

    def _current(self, tenant: str) -> _Known | None:
        """Return what is known of a tenant, read again if a file has changed since."""
        if not TENANT_ID.fullmatch(tenant):
            return None
        home = self._home(tenant)
        if home is None:
            self._known.pop(tenant, None)
            return None
        signature = tuple(_signature(home))
        before = self._known.get(tenant)
        if before is not None and before.signature == signature:
            return before
        known = _Known(signature, _read(home, tenant), self._clock())
        if before is not None:
            known.good = {
                pipeline: version
                for pipeline, version in before.good.items()
                if known.folder.paths("pipelines", pipeline)
            }
        self._known[tenant] = known
        return known

    def _home(self, tenant: str) -> Path | None:
        """Return the tenant's real folder; None if there is none or it lies outside the root."""
        home = self._root.resolve() / tenant
        return home if home.is_dir() and not home.is_symlink() else None


def _files(home: Path) -> Iterator[tuple[str, Path]]:
    """Yield `schemas/x.json` and its path, of every folder that is read, in order of names."""
    for kind, suffixes in SUFFIXES.items():
        try:
            names = sorted(path.name for path in (home / kind).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names[:MAX_FILES]:
            if name.endswith(suffixes) and not name.startswith("."):
                yield f"{kind}/{name}", home / kind / name


def _signature(home: Path) -> Iterator[tuple[str, int, int, int, int]]:
    for shown, path in _files(home):
        try:
            stat = path.stat()
        except OSError:
            yield shown, 0, 0, 0, 0
        else:
            yield shown, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _read(home: Path, tenant: str) -> Folder:
    texts: dict[str, str] = {}
    unread: dict[str, FileError] = {}
    for shown, path in _files(home):
        try:
            texts[shown] = _text(home, path)
        except _Refused as refused:
            unread[shown] = FileError(
                file=f"{tenant}/{shown}",
                found=refused.found,
                allowed=refused.allowed,
                advice=refused.advice,
            )
    return Folder(tenant=tenant, texts=texts, unread=unread)


class _Refused(Exception):
    def __init__(self, found: str, allowed: str, advice: str) -> None:
        super().__init__(found)
        self.found, self.allowed, self.advice = found, allowed, advice


def _text(home: Path, path: Path) -> str:
    real = path.resolve()
    if not real.is_relative_to(home) or "secrets" in real.relative_to(home).parts:
        advice = "copy the file into the tenant's folder"
        raise _Refused("a link that leads elsewhere", "files below the tenant's folder", advice)
    if not real.is_file():
        raise _Refused("no regular file", "a regular file", "replace it by a file")
    try:
        content = real.read_bytes() if real.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        found = f"an unreadable file ({error.strerror})"
        raise _Refused(found, "a file that the orchestrator may read", "correct its mode") from None
    if content is None:
        found = f"more than {MAX_BYTES} bytes"
        raise _Refused(found, f"at most {MAX_BYTES}", "shorten the file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Refused(f"byte {error.start} is no UTF-8", "UTF-8", "save it as UTF-8") from None
