"""Tables and facts as text that is never cut: not in a pipe, not on a terminal."""

import dataclasses
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

GAP: Final = "  "
NARROWEST_PROSE: Final = 24
HIDDEN: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that would move a cursor, change colours or turn text around."""


def visible(text: str) -> str:
    """Return `text` with characters that steer a terminal written as escapes."""
    return HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Rows of texts below headings.

    Columns are as wide as their widest cell. Only those in `prose` go on in the next line where
    a terminal is too narrow, between words; everything else stays in one piece, to be copied.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    right: frozenset[str] = frozenset()
    prose: frozenset[str] = frozenset()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        if self.title:
            yield _line(self.title, "bold")
        limit = self._limit(options.max_width) if console.is_terminal else None
        cells = [[self._cut(i, cell, limit) for i, cell in enumerate(row)] for row in self.rows]
        widths = [
            max(cell_len(text) for text in (heading, *(t for row in cells for t in row[i])))
            for i, heading in enumerate(self.columns)
        ]
        yield _line(self._joined(self.columns, widths), "bold")
        for row in cells:
            for at in range(max(map(len, row))):
                parts = [texts[at] if at < len(texts) else "" for texts in row]
                yield _line(self._joined(parts, widths))

    def _limit(self, width: int) -> int:
        """Return how wide a prose column may be on a terminal of `width` cells."""
        fixed = sum(
            len(GAP) + max(cell_len(text) for text in (heading, *(row[i] for row in self.rows)))
            for i, heading in enumerate(self.columns)
            if heading not in self.prose
        )
        share = (width - fixed) // max(len(self.prose), 1) - len(GAP)
        return max(share, NARROWEST_PROSE)

    def _cut(self, column: int, cell: str, limit: int | None) -> list[str]:
        return _wrapped(cell, limit if self.columns[column] in self.prose else None)

    def _joined(self, parts: Iterable[str], widths: Sequence[int]) -> str:
        padded = []
        for heading, text, width in zip(self.columns, parts, widths, strict=True):
            space = " " * (width - cell_len(text))
            padded.append(space + text if heading in self.right else text + space)
        return GAP.join(padded).rstrip()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names and values, those that are empty left out; a value goes on below its beginning."""

    pairs: Mapping[str, str]
    title: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        if self.title:
            yield _line(self.title, "bold")
        told = {name: value for name, value in self.pairs.items() if value}
        width = max(map(len, told), default=0)
        room = options.max_width - width - len(GAP)
        limit = max(room, NARROWEST_PROSE) if console.is_terminal else None
        for name, value in told.items():
            for i, text in enumerate(_wrapped(value, limit)):
                label = name if i == 0 else ""
                line = Text(f"{label:{width}}{GAP}", style="dim", no_wrap=True, overflow="ignore")
                yield line.append(text, style="not dim")


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ignore")


def _wrapped(text: str, limit: int | None) -> list[str]:
    """Return the lines of `text`, broken between words where they are longer than `limit`."""
    lines = [visible(line) for line in text.split("\n")]
    if limit is None:
        return lines
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, limit, break_long_words=False, break_on_hyphens=False)
        or [""]
    ]
