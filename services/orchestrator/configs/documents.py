"""Reads YAML and JSON texts into plain values and remembers on which line each stands."""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Final, NoReturn, TypeAlias

import yaml

from services.orchestrator.configs.file_errors import FileError

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
Path: TypeAlias = tuple[str | int, ...]

MAX_CHARACTERS: Final = 1024 * 1024
MAX_DEPTH: Final = 32


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's content, and lines (from 1) by path into it."""

    file: str
    value: Value
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of `path`, or of the nearest part around it that is known."""
        for end in range(len(path), -1, -1):
            if (line := self.lines.get(path[:end])) is not None:
                return line
        return 0

    def error(self, path: Path, *, found: str, allowed: str, advice: str) -> FileError:
        return FileError(
            file=self.file,
            line=self.line(path),
            field=".".join(map(str, path)),
            found=found,
            allowed=allowed,
            advice=advice,
        )


class Unreadable(Exception):
    """The text is no document; `error` says where and why."""

    def __init__(self, error: FileError) -> None:
        super().__init__(error.sentence)
        self.error = error


def read_yaml(text: str, file: str) -> Document:
    """Return the one YAML document in `text`; raise Unreadable.

    Scalars are read by YAML 1.2's core schema (`no` and `12:30` are texts, dates are texts). A key
    twice in one mapping, anchors, aliases, tags and nesting deeper than MAX_DEPTH are refused.
    """
    _check_size(text, file)
    reading = _Reading(file)
    try:
        node = _compose(text)
        value = reading.value(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        _refuse(file, line, str(error.problem or error.context), "YAML", "correct the syntax")
    except yaml.YAMLError as error:
        found = str(error).splitlines()[0]
        _refuse(file, 0, found, "YAML", "correct the syntax")
    except (RecursionError, ValueError) as error:
        found = "deep nesting" if isinstance(error, RecursionError) else str(error)
        _refuse(file, 0, found, f"plain values, {MAX_DEPTH} levels at most", "write it plainly")
    return Document(file=file, value=value, lines=reading.lines)


def read_json(text: str, file: str) -> Document:
    """Return the JSON document in `text`; raise Unreadable. A key twice is refused."""
    _check_size(text, file)
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _refuse(file, error.lineno, error.msg, "JSON", "correct the syntax")
    except _Twice as error:
        advice = "remove one of them"
        _refuse(file, _line_of(text, error.key), f"key {error.key!r} twice", "each once", advice)
    except ValueError as error:
        _refuse(file, 0, str(error), "JSON", "correct the value")
    except RecursionError:
        _refuse(file, 0, "deep nesting", f"at most {MAX_DEPTH} levels", "write it flatter")
    return Document(file=file, value=value, lines=_json_lines(text, file))


def _check_size(text: str, file: str) -> None:
    if len(text) > MAX_CHARACTERS:
        found = f"{len(text)} characters"
        _refuse(file, 0, found, f"at most {MAX_CHARACTERS}", "split or shorten the file")


def _refuse(file: str, line: int, found: str, allowed: str, advice: str) -> NoReturn:
    raise Unreadable(
        FileError(file=file, line=line, found=found, allowed=allowed, advice=advice)
    ) from None


class _Loader(yaml.SafeLoader):
    """YAML 1.2 core scalars, no aliases."""

    yaml_implicit_resolvers: Final = {}  # type: ignore[misc]

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="an alias (write the value again instead)", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first
    )


_PLAIN_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{tag}" for tag in ("str", "null", "bool", "int", "float", "map", "seq")
)


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


@dataclasses.dataclass(slots=True)
class _Reading:
    """Turns nodes into values and collects their lines."""

    file: str
    lines: dict[Path, int] = dataclasses.field(default_factory=dict)

    def value(self, node: yaml.Node, path: Path) -> Value:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(path) > MAX_DEPTH:
            self._refuse(node, "deep nesting", f"at most {MAX_DEPTH} levels", "write it flatter")
        if node.tag not in _PLAIN_TAGS:
            self._refuse(node, f"the tag {node.tag}", "plain values", "remove the tag")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, "a key that is no text", "keys that are texts", "correct it")
            name = str(key.value)
            if name in found:
                self._refuse(key, f"key {name!r} twice", "each key once", "remove one of them")
            self.lines[(*path, name)] = key.start_mark.line + 1
            found[name] = self.value(item, (*path, name))
        return found

    def _scalar(self, node: yaml.Node) -> Value:
        text = str(node.value)
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text) if len(text) < 40 else text
            case "float":
                return float(text)
        raise ValueError(f"the tag {node.tag} on a scalar")

    def _refuse(self, node: yaml.Node, found: str, allowed: str, advice: str) -> NoReturn:
        _refuse(self.file, node.start_mark.line + 1, found, allowed, advice)


class _Twice(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(key)
        found[key] = value
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text}, which JSON does not have")


def _line_of(text: str, key: str) -> int:
    spans = [match.start() for match in re.finditer(re.escape(json.dumps(key)), text)]
    return text.count("\n", 0, spans[1]) + 1 if len(spans) > 1 else 0


def _json_lines(text: str, file: str) -> dict[Path, int]:
    """Read JSON as the YAML that it nearly is, for the lines alone; none if that fails."""
    reading = _Reading(file)
    try:
        node = _compose(text.replace("\t", " "))
        if node is not None:
            reading.value(node, ())
    except (yaml.YAMLError, Unreadable, RecursionError):
        return {}
    return reading.lines
