"""Charts of the demonstration: exact, uncut, and never a sum over two currencies."""

import io
from decimal import Decimal

import pytest
from rich.console import Console

from libs.local.demo.costs import MOST_ROWS, VIEWS, bar, chart

EXACT = Decimal("12345678901234567890.123456789012345678")


def drawn(view: int, rows: list[dict[str, object]]) -> list[str]:
    console = Console(file=io.StringIO(), width=40, highlight=False, soft_wrap=True)
    console.print(chart("acme_corp", VIEWS[view], rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()[2:]


def days(count: int) -> list[dict[str, object]]:
    return [
        {"day": f"2026-11-{i + 1:02d}", "billed_cost": Decimal(i), "currency": "USD"}
        for i in range(count)
    ]


def test_an_amount_of_38_digits_is_shown_whole_on_a_narrow_terminal() -> None:
    (line,) = drawn(0, [{"service": "s" * 60, "billed_cost": EXACT, "currency": "USD"}])
    assert f"{EXACT} USD" in line


def test_the_newest_days_are_shown_and_the_earlier_ones_added_up() -> None:
    first, *rest = drawn(1, days(MOST_ROWS + 3))
    assert first.split() == ["…", "3", "earlier", "3", "USD"]
    assert [line.split()[0] for line in rest] == [f"2026-11-{i:02d}" for i in range(4, 14)]


def test_what_is_left_out_is_added_up_by_currency() -> None:
    rows: list[dict[str, object]] = [
        {"service": f"s{i}", "billed_cost": Decimal(1), "currency": "EUR" if i % 2 else "USD"}
        for i in range(MOST_ROWS + 4)
    ]
    assert [line.split()[1:] for line in drawn(0, rows)[MOST_ROWS:]] == [
        ["2", "more", "2", "USD"],
        ["2", "more", "2", "EUR"],
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("4", "████████████████████"), ("2", "██████████"), ("-2", "░░░░░░░░░░"), ("0.0001", "▏")],
)
def test_a_bar_is_the_share_of_the_largest(value: str, expected: str) -> None:
    assert bar(Decimal(value), Decimal(4)) == expected
