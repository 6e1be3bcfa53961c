"""A tenant's files as texts, and what refers to what among them."""

import dataclasses
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from libs.common.names import ID
from services.orchestrator.configs.file_errors import FileError

SUFFIXES: Final = {
    "pipelines": (".yml", ".yaml"),
    "schemas": (".json",),
    "sources": (".yml", ".yaml"),
    "suites": (".json",),
    "transforms": (".sql",),
}
"""Folders that are read, and how their files end. Secrets and data are not among them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One reading of a tenant's files.

    `texts` are contents by path below the tenant's folder; `unread` are files that could not be
    read as text, by the same paths.
    """

    tenant: str
    texts: Mapping[str, str]
    unread: Mapping[str, FileError] = dataclasses.field(default_factory=dict)

    def ids(self, kind: str) -> tuple[str, ...]:
        """Return the ids of all files of a kind (`schemas`), sorted."""
        paths = map(PurePosixPath, (*self.texts, *self.unread))
        stems = {path.stem for path in paths if path.parts[0] == kind and ID.fullmatch(path.stem)}
        return tuple(sorted(stems))

    def paths(self, kind: str, id_: str) -> list[str]:
        """Return the paths of `id_`: one, none, or one for each suffix that it was written with."""
        candidates = [f"{kind}/{id_}{suffix}" for suffix in SUFFIXES[kind]]
        return [path for path in candidates if path in self.texts or path in self.unread]

    def shown(self, path: str) -> str:
        """Return the path as errors show it: below the configs directory."""
        return f"{self.tenant}/{path}"

    def strays(self) -> tuple[FileError, ...]:
        """Return an error for each file that no id can name."""
        paths = sorted(map(PurePosixPath, (*self.texts, *self.unread)))
        return tuple(
            FileError(
                file=self.shown(str(path)),
                found=f"file name {path.name!r}",
                allowed=f"an id {ID.pattern} and {' or '.join(SUFFIXES[path.parts[0]])}",
                advice="rename the file",
            )
            for path in paths
            if not ID.fullmatch(path.stem)
        )
