"""Tables and facts: nothing is cut, wherever they are printed."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from libs.client.cli.listings import Facts, Listing, visible
from libs.client.cli.output import amount, table

LONG = "ServiceNameOfAProviderThatLikesLongNames"
MONEY = "13438.712904456820057123456789012345678901234567890123456789"
ROW = (f"tenants/acme_corp/pipelines/p_focus_billing/runs/{LONG}", MONEY, "one two three " * 30)


def _printed(part: Listing | Facts, *, width: int = 80, terminal: bool = False) -> list[str]:
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=terminal,
        color_system=None,
        highlight=False,
        soft_wrap=True,
    )
    console.print(part)
    return file.getvalue().splitlines()


def test_in_a_pipe_a_row_is_one_line_however_long() -> None:
    listing = table([ROW], "run", "sum", "summary", right=["sum"], prose=["summary"])
    heading, row = _printed(listing)
    assert row == f"{ROW[0]}  {MONEY}  {ROW[2].rstrip()}"
    assert heading.split() == ["run", "sum", "summary"]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_on_a_terminal_of_any_width_names_and_money_stay_in_one_piece(width: int) -> None:
    listing = table([ROW], "run", "sum", "summary", right=["sum"], prose=["summary"])
    lines = _printed(listing, width=width, terminal=True)
    assert ROW[0] in lines[1]
    assert MONEY in lines[1]
    assert " ".join(lines).count("three") == 30


def test_prose_goes_on_below_itself_within_the_terminal() -> None:
    listing = table([("1", "one two three " * 10)], "#", "summary", prose=["summary"])
    heading, first, *more = _printed(listing, width=40, terminal=True)
    assert heading.rstrip() == "#  summary"
    assert first.startswith("1  one")
    assert more
    assert all(line.startswith("   ") and len(line) <= 40 for line in more)


def test_columns_are_as_wide_as_their_widest_cell_and_lines_have_no_tail() -> None:
    listing = table([("a", "1"), ("bbb", "222")], "x", "sum of", right=["sum of"])
    assert _printed(listing) == ["x    sum of", "a         1", "bbb     222"]


def test_wide_characters_count_for_what_they_take() -> None:
    lines = _printed(table([("東京", "x"), ("abcd", "y")], "city", "z"))
    assert {cell_len(line) for line in lines} == {7}


def test_facts_leave_out_what_is_empty_and_go_on_below_their_beginning() -> None:
    facts = Facts(pairs={"run": LONG, "held": "", "why": "one two three four five\nsix"})
    assert _printed(facts) == [f"run  {LONG}", "why  one two three four five", "     six"]
    narrow = _printed(facts, width=29, terminal=True)
    assert narrow == [f"run  {LONG}", "why  one two three four five", "     six"]
    narrower = _printed(Facts(pairs={"w": "one two three four five"}), width=9, terminal=True)
    assert narrower == ["w  one two three four five"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("bell\x07", r"bell\x07"),
        ("back\rover", r"back\rover"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\x9b31m", r"\x9b31m"),
        ("Größe 東京 +1", "Größe 東京 +1"),
    ],
    ids=["escape", "bell", "return", "direction", "c1", "plain"],
)
def test_what_would_steer_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert _printed(table([(text,)], "cell"), terminal=True)[1] == shown
    assert _printed(Facts(pairs={"fact": text}), terminal=True) == [f"fact  {shown}"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("20.520226728990000000", "20.52022672899"),
        ("27136505.000000000000000000", "27136505"),
        ("-0.10", "-0.1"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("1200", "1200"),
        ("0", "0"),
        ("", ""),
        ("1.2.0", "1.2.0"),
    ],
)
def test_amounts_lose_zeros_at_their_end_and_no_other_digit(text: str, shown: str) -> None:
    assert amount(text) == shown
