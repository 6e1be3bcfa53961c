"""Figures of one program, shown, and put between the marks of its page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.figures import Figure, between, figures_table
from bench.machine import described

PAGES: Final = {
    "bench.edge": Path("docs/performance.md"),
    "bench.fairness": Path("docs/fairness.md"),
    "bench.journal": Path("docs/journal.md"),
}
"""By program."""


def marks(program: str) -> tuple[str, str]:
    """Return what stands before and behind a program's figures in its page."""
    return f"<!-- figures: python -m {program} --write -->\n", "<!-- end of figures -->"


def report(program: str, figures: Sequence[Figure], *, write: bool) -> int:
    """Print figures, and put them into the program's page if asked; return 1 if one misses its bar."""
    text = f"{figures_table(figures)}\nMeasured on {described()}.\n"
    print(text)
    if write:
        page = PAGES[program]
        page.write_text(between(page.read_text(), marks(program), text))
    return int(any(figure.missed for figure in figures))
