"""Globs over names of objects, which match as `pathlib` matches files of a folder."""

import dataclasses
import fnmatch
import itertools
import re
from typing import Final, Self

FOLDERS: Final = "**"
MAGIC: Final = re.compile(r"[*?\[]")


@dataclasses.dataclass(frozen=True, slots=True)
class Glob:
    """A glob over whole keys; one that ends with `**` means folders, and matches no object.

    folder: The longest part of the glob that is a folder written out: empty, or ending with `/`.
    """

    folder: str
    _parts: tuple[re.Pattern[str] | None, ...]

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """Read a glob; raise ValueError for `**` that does not stand alone in its part."""
        parts = pattern.split("/")
        if any(FOLDERS in part and part != FOLDERS for part in parts):
            raise ValueError("** stands alone in its part")
        literal = itertools.takewhile(lambda part: not MAGIC.search(part), parts[:-1])
        return cls(
            "".join(f"{part}/" for part in literal),
            tuple(None if p == FOLDERS else re.compile(fnmatch.translate(p)) for p in parts),
        )

    def matches(self, key: str) -> bool:
        """Return whether the glob matches a key."""
        names = key.split("/")
        reached = {0}
        for part in self._parts:
            if part is None:
                reached = set(range(min(reached), len(names))) if reached else reached
            else:
                reached = {i + 1 for i in reached if i < len(names) and part.match(names[i])}
        return len(names) in reached
