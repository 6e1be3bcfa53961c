"""Turns a document into one of the models of `files`, or into every error that it has."""

import json
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic_core import ErrorDetails

from services.orchestrator.configs.documents import Document, Path
from services.orchestrator.configs.file_errors import FileError, listed, nearest
from services.orchestrator.configs.quantities import Misread

M = TypeVar("M", bound=pydantic.BaseModel)


class Wrong(Exception):
    """Files are wrong; `errors` has at least one."""

    def __init__(self, errors: Iterable[FileError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(error.sentence for error in self.errors))


def parse(document: Document, model: type[M]) -> M:
    """Return `document` as `model`; raise Wrong with one error for each wrong field."""
    if not isinstance(document.value, dict):
        error = document.error(
            (), found=described(document.value), allowed=f"keys {listed(names(model))}",
            advice="write one mapping of these keys",
        )  # fmt: skip
        raise Wrong([error])
    try:
        return model.model_validate(document.value)
    except pydantic.ValidationError as error:
        raise Wrong(_error(document, model, one) for one in error.errors()) from None


def names(model: type[pydantic.BaseModel]) -> list[str]:
    """Return the keys that a file of `model` may have, as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


def described(value: object) -> str:
    """Return a short text of a value from a file: what was found."""
    match value:
        case None:
            return "nothing (null)"
        case dict():
            return f"a mapping of {listed(map(str, value), most=5)}"
        case list():
            return f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _error(document: Document, model: type[pydantic.BaseModel], one: ErrorDetails) -> FileError:
    path = one["loc"]
    found, allowed, advice = _said(model, path, one)
    return document.error(path, found=found, allowed=allowed, advice=advice)


def _said(model: type[pydantic.BaseModel], path: Path, one: ErrorDetails) -> tuple[str, str, str]:
    found = described(one["input"])
    context = one.get("ctx") or {}
    match one["type"]:
        case "extra_forbidden":
            known = list(_keys(model, path[:-1]))
            advice = nearest(str(path[-1]), known) or "remove it, or use an allowed key"
            return f"unknown key {path[-1]!r}", listed(known), advice
        case "missing":
            return "no such key", "a required key", "add it"
        case "literal_error":
            allowed = _unquoted(context["expected"])
            advice = nearest(str(one["input"]), allowed.split(", ")) or "use an allowed value"
            return found, allowed, advice
    cause = context.get("error")
    if isinstance(cause, Misread):
        return found, cause.allowed, cause.advice
    return found, _type_allowed(one), _type_advice(one)


def _unquoted(expected: str) -> str:
    return expected.replace("'", "").replace(" or ", ", ")


def _type_allowed(one: ErrorDetails) -> str:
    texts = {
        "string_type": "a text",
        "int_type": "a whole number",
        "bool_type": "true or false",
        "list_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping",
    }
    return texts.get(one["type"]) or one["msg"].removeprefix("Input should be ").lower()


def _type_advice(one: ErrorDetails) -> str:
    if one["type"] == "string_type" and not isinstance(one["input"], list | dict):
        return "put it in quotes, or correct it"
    return "correct the value"


def _keys(model: type[pydantic.BaseModel], path: Path) -> Iterator[str]:
    annotation: Any = model
    for step in path:
        annotation = _inner(annotation, step)
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield from names(annotation)


def _inner(annotation: Any, step: str | int) -> Any:
    """Return the type of one field or item; None where it is unknown."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        for name, field in annotation.model_fields.items():
            if step in (field.alias, name):
                return _one(field.annotation)
        return None
    return next(iter(map(_one, typing.get_args(annotation)[-1:])), None)


def _one(annotation: Any) -> Any:
    """Strip Annotated and `| None`."""
    if typing.get_origin(annotation) is Annotated:
        return _one(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        some = [part for part in typing.get_args(annotation) if part is not types.NoneType]
        return _one(some[0])
    return annotation
