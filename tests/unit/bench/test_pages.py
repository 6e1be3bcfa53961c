"""Where figures are written to."""

from pathlib import Path

import pytest

from bench import pages
from bench.figures import Figure, between

FIGURE = Figure(what="a call", value=2.0, unit="ms", bar=1.0)


@pytest.mark.parametrize("program", pages.PAGES)
def test_each_page_has_a_place_for_its_figures(program: str) -> None:
    page = pages.PAGES[program].read_text(encoding="utf-8")
    assert between(page, pages.marks(program), "") != page


def test_figures_are_written_when_asked_and_a_missed_bar_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, end = pages.marks("p")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{begin}old{end}\nafter\n")
    monkeypatch.setitem(pages.PAGES, "p", page)
    assert pages.report("p", [FIGURE], write=False) == 1
    assert "old" in page.read_text()
    assert pages.report("p", [], write=True) == 0
    assert "old" not in page.read_text()
    assert page.read_text().endswith(f"{end}\nafter\n")
