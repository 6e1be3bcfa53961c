"""Nested values of many rows: found to be JSON all at once, and made compact."""

from typing import Final

import polars as pl

from services.ingest import exact_json
from services.ingest.sources.json_patterns import LONGEST, structure

FEWEST: Final = 64
"""Values that are worth a pattern of their own."""

MOST_PATTERNS: Final = 12
SAMPLE: Final = 8
MOST_KEPT: Final = 20_000
LONGEST_KEPT: Final = 1000
_BLANK: Final = r"[ \t\n\r]"


class NestedValues:
    """Reads the nested values of one field; what it has seen makes the next ones faster."""

    def __init__(self, fewest: int = FEWEST) -> None:
        self._fewest = fewest
        self._patterns: dict[str, str] = {}
        """What is known with blanks anywhere, and the same as compact JSON."""
        self._compact = ""
        self._seen: dict[str, str | None] = {}

    def compact(self, values: pl.Series) -> pl.Series:
        """Return values as `exact_json.dumps` writes them; null where one is no JSON.

        Args:
            values: (n,) String, each from a bracket to the one that closes it, none null.
        """
        shown = values.clone()
        odd = pl.arange(len(values), eager=True, dtype=pl.UInt32)
        if self._compact:
            odd = odd.filter(~values.str.contains(self._compact))
        for pattern in self._patterns:
            odd = self._matching(values, odd, pattern, shown)
        learned = True
        while learned and len(odd) >= self._fewest:
            learned = False
            for pattern, compact in self._learn(values.gather(odd.head(SAMPLE))).items():
                left = self._matching(values, odd, pattern, shown)
                if len(odd) - len(left) >= self._fewest:
                    self._keep(pattern, compact)
                    learned = True
                odd = left
        if not len(odd):
            return shown
        return shown.scatter(odd, [self._one(text) for text in values.gather(odd).to_list()])

    def _matching(
        self, values: pl.Series, odd: pl.Series, pattern: str, shown: pl.Series
    ) -> pl.Series:
        """Write those of the odd ones that match, and return the others."""
        if not len(odd):
            return odd
        left = values.gather(odd) if len(odd) < len(values) else values
        fits = left.str.contains(pattern)
        found = odd.filter(fits)
        spaced = left.filter(fits).str.contains(_BLANK)
        if spaced.any():
            texts = values.gather(found.filter(spaced))
            squeezed = texts.str.replace_all(rf'("[^"]*")|{_BLANK}+', "${1}")
            shown.scatter(found.filter(spaced), squeezed)
        return odd.filter(~fits)

    def _keep(self, pattern: str, compact: str) -> None:
        """Know a pattern, and look for it first among compact values, with all others at once."""
        self._patterns[pattern] = compact
        every = "|".join(self._patterns.values())
        if len(every) <= LONGEST and _compiles(every):
            self._compact = every

    def _learn(self, sample: pl.Series) -> dict[str, str]:
        """Return patterns that these values teach and that were not known, each with its compact one."""
        if len(self._patterns) >= MOST_PATTERNS:
            return {}
        found = (_patterns(text) for text in sample.to_list())
        return {one[0]: one[1] for one in found if one and one[0] not in self._patterns}

    def _one(self, text: str) -> str | None:
        if text in self._seen:
            return self._seen[text]
        try:
            shown = exact_json.dumps(exact_json.loads(text))
        except ValueError:
            shown = None
        if len(text) <= LONGEST_KEPT:
            if len(self._seen) >= MOST_KEPT:
                self._seen.clear()
            self._seen[text] = shown
        return shown


def _patterns(text: str) -> tuple[str, str] | None:
    try:
        value = exact_json.loads(text)
    except ValueError:
        return None
    pattern, compact = structure(value), structure(value, blanks="")
    if pattern is None or compact is None or not _compiles(pattern):
        return None
    return pattern, compact


def _compiles(pattern: str) -> bool:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError:
        return False
    return True
