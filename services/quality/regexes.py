r"""Regular expressions: from Python's syntax, which Great Expectations reads, to the workers'.

Python, RE2 and the workers' engine agree on most, and differ silently on the rest: what `\w`, `\d`
and `\s` mean, whether `$` may stand before a last newline, what `[a&&b]` or `a{,3}` is. So an
expression is written anew, in the part of the syntax that means the same everywhere.
"""

import re
import warnings
from collections.abc import Iterator
from typing import Final

import re2

DEEPEST: Final = 50
LARGEST_BYTES: Final = 3 * 1024 * 1024
"""Memory that RE2 may compile an expression to; the workers' engine then takes it too."""

_SPACES: Final = (
    r"\t-\r\x1c-\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
)
_NO_SPACES: Final = (
    r"\x00-\x08\x0e-\x1b!-\x84\x86-\x9f\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}"
    r"\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}"
)
_NO_WORDS: Final = (
    r"\p{M}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{S}\p{Z}\p{C}"
    r"\x{203f}\x{2040}\x{2054}\x{fe33}\x{fe34}\x{fe4d}-\x{fe4f}\x{ff3f}"
)
_CLASSES: Final = {
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "w": r"\p{L}\p{N}_",
    "W": _NO_WORDS,
    "s": _SPACES,
    "S": _NO_SPACES,
}
"""What Python means by a class, as items between brackets."""

_META: Final = frozenset(".^$*+?{}[]|()\\")
_REPEAT: Final = re.compile(r"\{(?!\})([0-9]*)(,?)([0-9]*)\}")
_HEX: Final = re.compile(r"x[0-9a-fA-F]{2}")


def portable(regex: str) -> str:
    """Return an expression that finds what Python's `re.search` finds.

    Raises:
        ValueError: Python or RE2 refuses it, or the engines would not agree; the text says why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flags = re.compile(regex).flags
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(
            f"Python's re, which Great Expectations uses, refuses it: {error}"
        ) from error
    text = "".join(_Rewriting(regex, multiline=bool(flags & re.MULTILINE)).outside())
    options = re2.Options()
    options.max_mem = LARGEST_BYTES
    options.log_errors = False
    try:
        re2.compile(regex, options)  # type: ignore[no-untyped-call]
        re2.compile(text, options)  # type: ignore[no-untyped-call]
    except re2.error as error:
        raise ValueError(f"RE2 refuses it: {_words(error)}") from error
    return text


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


class _Rewriting:
    """One pass over an expression that Python compiles."""

    def __init__(self, regex: str, *, multiline: bool) -> None:
        self._regex = regex
        self._multiline = multiline
        self._at = 0
        self._depth = 0

    def outside(self) -> Iterator[str]:
        """Yield the expression's parts."""
        while self._at < len(self._regex):
            char = self._take()
            match char:
                case "\\":
                    yield self._escape()
                case "[":
                    yield f"[{''.join(self._inside())}]"
                case "{":
                    yield self._braces()
                case "$":
                    yield self._end()
                case "(" | ")":
                    yield self._group(char)
                case "}" | "]":
                    yield f"\\{char}"
                case _:
                    yield char

    def _take(self) -> str:
        char = self._regex[self._at]
        self._at += 1
        return char

    def _escape(self) -> str:
        char = self._take()
        if char in _CLASSES:
            return f"[{_CLASSES[char]}]"
        return self._letter(char) or (f"\\{char}" if char in _META else char)

    def _letter(self, char: str) -> str:
        """Return the escape of an ASCII letter or digit; empty for other characters."""
        if char == "x":
            self._at += 2
            return f"\\x{self._regex[self._at - 2 : self._at]}"
        if char.isascii() and char.isdigit():
            raise ValueError(f"RE2 refuses it: \\{char}; write characters as \\x and two digits")
        return f"\\{char}" if char.isascii() and char.isalpha() else ""

    def _braces(self) -> str:
        found = _REPEAT.match(self._regex, self._at - 1)
        if found is None:
            return "\\{"
        self._at = found.end()
        least, comma, most = found.groups()
        return f"{{{least or 0}{comma}{most}}}"

    def _end(self) -> str:
        r"""Python's `$` also matches before a newline that ends the text."""
        if self._multiline:
            return "$"
        rest = self._regex[self._at :].lstrip(")")
        if rest and not rest.startswith("|"):
            raise ValueError("`$` must end the expression or one of its alternatives")
        return r"(?:\n?\z)"

    def _group(self, char: str) -> str:
        self._depth += 1 if char == "(" else -1
        if self._depth > DEEPEST:
            raise ValueError(f"groups are nested more than {DEEPEST} deep")
        flags = re.match(r"\?([aiLmsux]*)(-[imsx]+)?:", self._regex[self._at :])
        if char == "(" and flags and "m" in flags[0] and "$" in self._regex:
            raise ValueError("the flag m must stand first, as (?m), where `$` is used")
        return char

    def _inside(self) -> Iterator[str]:
        """Yield the items of a class, up to its bracket."""
        first = self._at
        if self._regex[self._at] == "^":
            first += 1
            yield self._take()
        while self._regex[self._at] != "]" or self._at == first:
            yield self._item()
        self._at += 1

    def _item(self) -> str:
        low = self._member()
        if self._regex[self._at] != "-" or self._regex[self._at + 1] == "]":
            return low
        self._at += 1
        return f"{low}-{self._member()}"

    def _member(self) -> str:
        char = self._take()
        if char != "\\":
            return _literal(char)
        char = self._take()
        return _CLASSES.get(char) or self._letter(char) or _literal(char)


def _literal(char: str) -> str:
    """Return a character so that it means nothing else in a class."""
    return char if char.isalnum() or not char.isascii() else f"\\x{ord(char):02x}"
