"""Figures say what was measured against what was promised, and never pass for want of a value."""

import pytest

from bench.figures import Figure, between, figures_table, number, ratio, ratio_line, spread, table


def test_a_ratio_is_of_medians() -> None:
    assert ratio([1.0, 30.0, 2.0], [4.0, 1.0, 100.0]) == 0.5


@pytest.mark.parametrize(("ours", "theirs"), [([], [1.0]), ([1.0], []), ([], [])])
def test_without_a_measurement_there_is_no_ratio(ours: list[float], theirs: list[float]) -> None:
    assert ratio(ours, theirs) is None


@pytest.mark.parametrize(
    ("value", "at_least", "missed"),
    [(1.5, False, False), (1.51, False, True), (1.5, True, False), (1.49, True, True)],
)
def test_a_figure_at_its_bar_keeps_it(value: float, at_least: bool, missed: bool) -> None:
    assert Figure(what="x", value=value, bar=1.5, at_least=at_least).missed is missed


def test_a_figure_that_failed_misses_its_bar_and_says_why() -> None:
    figure = Figure(what="x", value=None, bar=2, detail="dlt: exit 1")
    assert figure.missed
    assert figure.row() == ("x", "**failed**", "≤ 2 x", "", "dlt: exit 1")


def test_a_figure_without_a_bar_misses_nothing() -> None:
    assert not Figure(what="x", value=99.0).missed


def test_what_misses_its_bar_stands_in_bold() -> None:
    figures = [
        Figure(what="slow", value=3.14159, bar=1.5, stretch=1.2),
        Figure(what="fast", value=9.0, bar=8, at_least=True),
    ]
    assert figures_table(figures).splitlines()[2:] == [
        "| slow | **3.14 x** | ≤ 1.5 x | ≤ 1.2 x |  |",
        "| fast | 9.00 x | ≥ 8 x |  |  |",
    ]


def test_the_last_line_has_every_ratio_that_has_a_name() -> None:
    figures = [
        Figure(what="a", value=1.234, short="worker_csv"),
        Figure(what="b", value=5.0),
        Figure(what="c", value=None, short="chunk_ms"),
    ]
    assert ratio_line(figures) == "ratios: worker_csv=1.23 chunk_ms=?"


def test_a_cell_cannot_end_its_row() -> None:
    assert table(["a"], [["x | y\nz"]]) == "| a |\n| --- |\n| x \\| y z |\n"


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "1,234"), (56.78, "56.8"), (0.5, "0.50"), (-250.0, "-250")]
)
def test_a_number_has_about_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_spread_says_how_far_the_values_lie_apart() -> None:
    assert spread([3.0, 1.0, 2.0], "s") == "2.00 s (1.00 to 3.00)"
    assert spread([2.0], "s") == "2.00 s (once)"
    assert spread([], "s") == "failed"


def test_what_stands_between_marks_is_replaced_and_nothing_else() -> None:
    text = "before <a>old<b> after"
    assert between(text, ("<a>", "<b>"), "new") == "before <a>new<b> after"


@pytest.mark.parametrize("text", ["no marks", "<a> only", "<b>"])
def test_a_page_without_its_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="are not there"):
        between(text, ("<a>", "<b>"), "new")
