"""What is wrong in a tenant's files, said so that its author can correct it."""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

from libs.common.errors import FailedPrecondition


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileError:
    """One thing that is wrong.

    `file` is the path below the configs directory, `line` counts from 1 (0: unknown), `field` is a
    dotted path, empty for the file as a whole. `allowed` is empty where `found` says it.
    """

    file: str
    line: int = 0
    field: str = ""
    found: str
    allowed: str
    advice: str

    @property
    def place(self) -> str:
        """Return `acme_corp/pipelines/p.yml:12 write.mode`."""
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line} {self.field}".rstrip()

    @property
    def sentence(self) -> str:
        allowed = f"; allowed is {self.allowed}" if self.allowed else ""
        return f"found {self.found}{allowed}; {self.advice}"


class ConfigInvalid(FailedPrecondition):
    """The pipeline's files are wrong and there is no earlier version to use."""

    reason = "CONFIG_INVALID"

    def __init__(self, name: str, errors: Sequence[FileError]) -> None:
        self.errors = tuple(errors)
        count = f"{len(self.errors)} error{'' if len(self.errors) == 1 else 's'}"
        first = f": {self.errors[0].place}: {self.errors[0].sentence}" if self.errors else ""
        super().__init__(
            f"the files of {name} have {count}{first}", violations=violations(errors), name=name
        )


def violations(errors: Iterable[FileError]) -> dict[str, str]:
    """Return sentences by place; several at one place are joined."""
    found: dict[str, str] = {}
    for error in errors:
        before = found.get(error.place)
        found[error.place] = f"{before}; also {error.sentence}" if before else error.sentence
    return found


def nearest(text: str, known: Iterable[str]) -> str:
    """Return `did you mean x?`, or nothing if no known word is near."""
    by_fold = {word.casefold(): word for word in known}
    match = difflib.get_close_matches(text.casefold(), by_fold, n=1, cutoff=0.6)
    return f"did you mean {by_fold[match[0]]}?" if match else ""


def listed(words: Iterable[str], *, empty: str = "nothing", most: int = 30) -> str:
    """Return words separated by commas, cut after `most`."""
    every = list(words)
    tail = [f"and {len(every) - most} more"] if len(every) > most else []
    return ", ".join([*every[:most], *tail]) or empty
