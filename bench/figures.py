"""Figures against their bars, and how they are written: pure, so that tests can hold it."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

HEADER: Final = ("What", "Measured", "Bar", "Stretch", "From")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value beside what was promised.

    value: In `unit`; None if it could not be measured, and `detail` says why.
    bar: What it must not be above (below, with `at_least`); None for a figure that promises nothing.
    short: Its name in the line of ratios; empty keeps it out.
    """

    what: str
    value: float | None
    unit: str = "x"
    bar: float | None = None
    stretch: float | None = None
    at_least: bool = False
    detail: str = ""
    short: str = ""

    @property
    def missed(self) -> bool:
        """Whether it has a bar and is not known to keep it."""
        return self.bar is not None and not self._within(self.bar)

    def _within(self, limit: float) -> bool:
        if self.value is None:
            return False
        return self.value >= limit if self.at_least else self.value <= limit

    def row(self) -> tuple[str, ...]:
        measured = "failed" if self.value is None else f"{number(self.value)} {self.unit}"
        return (
            self.what,
            f"**{measured}**" if self.missed else measured,
            self._limit(self.bar),
            self._limit(self.stretch),
            self.detail,
        )

    def _limit(self, limit: float | None) -> str:
        if limit is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {limit:,.10g} {self.unit}"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the median of ours over the median of theirs; None if one of them has no value."""
    if not ours or not theirs:
        return None
    return statistics.median(ours) / statistics.median(theirs)


def spread(values: Sequence[float], unit: str) -> str:
    """Say a median and the range around it."""
    if not values:
        return "failed"
    middle = f"{number(statistics.median(values))} {unit}"
    if len(values) == 1:
        return f"{middle} (once)"
    return f"{middle} ({number(min(values))} to {number(max(values))})"


def number(value: float) -> str:
    """Write a number with about three digits."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; line breaks and bars in cells do not end them."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def figures_table(figures: Iterable[Figure]) -> str:
    """Write figures in their order; one that misses its bar stands in bold."""
    return table(HEADER, [figure.row() for figure in figures])


def ratio_line(figures: Iterable[Figure]) -> str:
    """Write the figures that have a short name in one line, `?` for one that is not known."""
    named = [f for f in figures if f.short]
    shown = [f"{f.short}={'?' if f.value is None else f'{f.value:.2f}'}" for f in named]
    return f"ratios: {' '.join(shown)}"


def between(text: str, marks: tuple[str, str], inside: str) -> str:
    """Return `text` with what stands between two marks replaced.

    Raises:
        ValueError: A mark is missing.
    """
    before, first, rest = text.partition(marks[0])
    _, last, after = rest.partition(marks[1])
    if not first or not last:
        raise ValueError(f"the marks {marks[0].strip()} and {marks[1].strip()} are not there")
    return before + first + inside + last + after


def stages_table(runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Write processor seconds by run and state, a column for each group of processes.

    Args:
        runs: By name of the run: by state: `wall` and each group, in seconds.
    """
    groups = list(dict.fromkeys(g for run in runs.values() for used in run.values() for g in used))
    rows = [
        [name, state.lower(), *(number(used.get(group, 0.0)) for group in groups)]
        for name, run in runs.items()
        for state, used in run.items()
    ]
    return table(["Run", "State", *groups], rows)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")
