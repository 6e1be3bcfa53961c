"""YAML and JSON are read plainly: no surprise in a scalar, every value with its line."""

import pytest

from services.orchestrator.configs.documents import MAX_DEPTH, Unreadable, read_json, read_yaml
from services.orchestrator.configs.file_errors import FileError


def yaml_error(text: str) -> FileError:
    with pytest.raises(Unreadable) as caught:
        read_yaml(text, "f.yml")
    return caught.value.error


def json_error(text: str) -> FileError:
    with pytest.raises(Unreadable) as caught:
        read_json(text, "f.json")
    return caught.value.error


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("7d", "7d"),
        ("007", 7),
        ("-5", -5),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("NULL", None),
        ("'NULL'", "NULL"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = read_yaml(f"a: {text}", "f.yml").value
    assert found == {"a": value}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(value)


def test_every_value_knows_its_line() -> None:
    document = read_yaml("a:\n  b: 1\n  c:\n  - x\n  - y: 2\n", "f.yml")
    assert document.line(("a", "b")) == 2
    assert document.line(("a", "c", 1, "y")) == 5
    assert document.line(("a", "missing")) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", 3),
        ("a: &x [1]\nb: *x\n", 2),
        ("a: !!python/object/apply:os.system [ls]\n", 1),
        ("a: 1\nb: !secret x\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: [1\nb: 2\n", 2),
        ("a: 1\n\tb: 2\n", 2),
        ("? [a]\n: 1\n", 1),
        ("a: !!int abc\n", 0),
        ("a: \x00\n", 0),
    ],
)
def test_what_is_no_plain_document_is_refused_with_its_line(text: str, line: int) -> None:
    assert yaml_error(text).line == line


def test_aliases_cannot_grow_a_small_file() -> None:
    bomb = "a: &a [x]\n" + "".join(f"{c}: &{c} [*a,*a]\n" for c in "bcdefgh")
    assert "alias" in yaml_error(bomb).found


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 5000])
def test_deep_nesting_is_refused(depth: int) -> None:
    assert "nesting" in yaml_error(f"a: {'[' * depth}{']' * depth}").found


def test_large_files_are_refused_unread() -> None:
    assert "at most" in yaml_error("#" * (1024 * 1024 + 1)).sentence


def test_an_empty_file_is_nothing() -> None:
    assert read_yaml("# only a comment\n", "f.yml").value is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1,\n "a": 2}', 2),
        ('{"a": 1,}', 1),
        ('{\n"a": NaN}', 0),
        ("", 1),
        ("[" * 100_000, 0),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(text: str, line: int) -> None:
    assert json_error(text).line == line


def test_json_written_with_tabs_has_lines_too() -> None:
    document = read_json('[\n\t{"name": "a"},\n\t{"name": "b"}\n]', "f.json")
    assert document.line((1, "name")) == 3
