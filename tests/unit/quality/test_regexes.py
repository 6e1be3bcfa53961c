"""An expression finds in the workers what Python's `re.search` finds, or is refused."""

import random
import re
import warnings

import polars as pl
import pytest
import re2

from services.quality.regexes import portable

TEXTS = (
    "", "a", "A", "ab", "b", "b\n", "b\n\n", "\n", "a b", "é", "e\u0301", "日本", "٣", "²", "½", "_",
    "-", "a-b", "a&b", "&", "~", "[", "]", "{", "}", "{2}", "a{", "<", ">", "\\", "\x1c", "\x85",
    "\u2028", "\u3000", "12", "usd", "USD", "line\nusd", "ß", "ẞ", "x{}", "aa", "aaa", "\t", ".",
)  # fmt: skip
SAME = (
    "a", "^a", "b$", "^b$", "^$", "$", "", ".", "^.*$", "b.", "(?s)b.", "(?m)^usd$", "(?m)b$",
    "(?i)USD", "(?i)ß", "(?i:us)d", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"[\d]", r"[\D]",
    r"[\w]", r"[\W]", r"[\s]", r"[\S]", r"[^\w]", r"[^\W]", r"[^\s]", r"[^\S]", r"[^\W\d_]",
    r"[\w-]", "[a-z]", "[-a]", "[a-]", "[+--]", "[--/]", r"[\--/]", r"[\\-a]", "[a&&b]", "[a~~b]",
    "[a||b]", "[[]", "[[:alpha:]]", "[]]", "[^]]", r"[\]]", r"[\[-\]]", "[a-c-e]", "[$^]", "a{2}",
    "a{,2}", "^a{,2}$", "a{2,}", "a{1,2}", "a{", "x{}", "a{,}", "a{x}", "}", "]", r"\{",
    r"\<", r"\>", r"\_", r"\-", r"\ ", r"\.", r"\\", r"\x61", r"\n", r"\t", r"\Aa", r"a\b",
    r"\Ba", "(a)(b)?", "(?:a|b$)", "(a|b)$", "((a))", "(?P<x>a)", "a|", "|a", "a*?", "a+?", "()",
)  # fmt: skip
ATOMS = (
    "a", "b", "A", "é", "\u0301", "日", "٣", "²", "ß", "_", "-", "&", "~", "#", " ", "<", "\n", "x",
    "{", "}", "]", ",", "1", "[a-c]", "[^a]", "[a&&b]", "[[]", "[]a]", "[^]a]", r"[\w-]",
    r"[^\W\d_]", r"[\S\n]", r"[^\s]", r"[\D]", r"[\\-a]", "[+--]", "[a~~b]", "[--a]", r"\w", r"\W",
    r"\d", r"\D", r"\s", r"\S", ".", r"\.", r"\-", r"\<", r"\{", r"\\", r"\x61", r"\n", r"\t", r"\é",
    r"\_", r"\A", "^", "$", "(?:a|b)", "(a)", "(?i:a)",
)  # fmt: skip
REPEATS = (
    "",
    "",
    "",
    "",
    "*",
    "+",
    "?",
    "{2}",
    "{,2}",
    "{1,}",
    "{1,2}",
    "{",
    "{}",
    "{a}",
    "*?",
    "{,}",
)
LETTERS = "abA\u00e9\u0301日٣²ß_-&~# <\nx{}],1[\\.+\t\x1c\u2028\x85cK"


def found(regex: str, texts: tuple[str, ...]) -> list[bool]:
    return pl.Series(texts).str.contains(portable(regex)).to_list()


def searched(regex: str, texts: tuple[str, ...]) -> list[bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [re.search(regex, text) is not None for text in texts]


@pytest.mark.parametrize("regex", SAME, ids=[f"{i}" for i in range(len(SAME))])
def test_a_worker_finds_what_python_finds(regex: str) -> None:
    assert found(regex, TEXTS) == searched(regex, TEXTS), portable(regex)


@pytest.mark.parametrize("seed", range(4))
def test_drawn_expressions_find_what_python_finds(seed: int) -> None:
    chance = random.Random(seed)
    compared = 0
    for _ in range(250):
        regex = chance.choice(("", "", "(?i)", "(?m)", "(?s)")) + _drawn(chance, 0)
        texts = tuple(
            "".join(chance.choice(LETTERS) for _ in range(chance.randrange(6))) for _ in range(30)
        )
        try:
            portable(regex)
        except ValueError:
            continue
        assert found(regex, texts) == searched(regex, texts), (regex, portable(regex))
        compared += 1
    assert compared > 180


def _drawn(chance: random.Random, depth: int) -> str:
    nested = depth < 3
    parts = []
    for _ in range(chance.randrange(1, 4)):
        group = nested and chance.random() < 0.15
        atom = f"({_drawn(chance, depth + 1)})" if group else chance.choice(ATOMS)
        parts.append(atom + chance.choice(REPEATS))
    other = f"|{_drawn(chance, depth + 1)}" if nested and chance.random() < 0.2 else ""
    return "".join(parts) + other


@pytest.mark.parametrize("regex", SAME, ids=[f"{i}" for i in range(len(SAME))])
def test_what_workers_get_is_re2_syntax(regex: str) -> None:
    assert re2.compile(portable(regex)) is not None  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        ("(", r"Python's re, which Great Expectations uses, refuses it: missing \)"),
        ("*", "Python's re, which Great Expectations uses, refuses it: nothing to repeat"),
        (r"\p{L}", r"Python's re, which Great Expectations uses, refuses it: bad escape \\p"),
        (r"\z", r"refuses it: bad escape \\z"),
        ("[b-a]", "refuses it: bad character range"),
        ("a(?i)", "refuses it: global flags not at the start"),
        ("(?=a)", r"RE2 refuses it: invalid perl operator: \(\?="),
        ("(?<!a)b", r"RE2 refuses it: invalid perl operator: \(\?<!"),
        ("(?x)a b", "RE2 refuses it"),
        ("(?a)a", "RE2 refuses it"),
        ("a++", "RE2 refuses it: bad repetition operator"),
        (r"\Z", r"RE2 refuses it: invalid escape sequence: \\Z"),
        (r"\u00e9", r"RE2 refuses it: invalid escape sequence: \\u"),
        (r"(a)\1", r"RE2 refuses it: \\1; write characters as"),
        (r"\012", r"RE2 refuses it: \\0; write characters as"),
        (r"[\012]", r"RE2 refuses it: \\0; write characters as"),
        ("a{1001}", "RE2 refuses it: invalid repetition size"),
        (r"\w{300}", "RE2 refuses it: pattern too large"),
        ("$a", "`\\$` must end the expression or one of its alternatives"),
        ("(?:a$|b$c)", "`\\$` must end"),
        (r"\é", r"RE2 refuses it: invalid escape sequence: \\é"),
        ("(?m:a$)", "the flag m must stand first"),
        ("(" * 51 + ")" * 51, "nested more than 50 deep"),
    ],
    ids=lambda value: "" if " " in value or len(value) > 20 else None,
)  # fmt: skip
def test_an_expression_that_an_engine_refuses_or_reads_otherwise_is_refused(
    regex: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        portable(regex)


@pytest.mark.parametrize("item", [r"\w", r"\W", r"\D", r"(?:\w|\d)"])
def test_the_longest_repetition_that_compiles_is_one_that_workers_take(item: str) -> None:
    longest = max(n for n in range(100, 1001, 25) if _compiles(f"(?:{item}){{{n}}}"))
    regex, texts = f"(?:{item}){{{longest}}}", ("a" * longest, "-" * longest)
    assert found(regex, texts) == searched(regex, texts)


def _compiles(regex: str) -> bool:
    try:
        portable(regex)
    except ValueError:
        return False
    return True


def test_refusals_write_nothing_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert not _compiles("(?=a)")
    assert capfd.readouterr().err == ""
