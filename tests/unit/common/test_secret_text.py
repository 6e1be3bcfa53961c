"""A secret is shown by nothing but `reveal`."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable

import pytest
import structlog

from libs.common.errors import ServiceError
from libs.common.rpc import to_status
from libs.common.secrets import SecretNotFound, SecretText

TEXT = "sk-admin-Zw9"
SECRET = SecretText(TEXT)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Something that holds a secret."""

    url: str
    key: SecretText


def formatted_by_logging() -> str:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "key %s %r", (SECRET, SECRET), None)
    return record.getMessage()


def rendered_as_json() -> str:
    renderer = structlog.processors.JSONRenderer(default=str)
    return str(renderer(None, "info", {"event": "x", "key": SECRET, "in": [SECRET]}))


def fail() -> None:
    key = SECRET
    raise ValueError(key, Source("https://x", key))


def in_a_traceback() -> str:
    try:
        fail()
    except ValueError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(shown.format())
    return ""


def in_a_status() -> str:
    class Refused(SecretNotFound):
        pass

    _, status = to_status(Refused(f"refused {SECRET}", secret=f"{SECRET}"))
    return str(status)


WAYS: dict[str, Callable[[], str]] = {
    "repr": lambda: repr(SECRET),
    "str": lambda: str(SECRET),
    "an f-string": lambda: f"{SECRET}",
    "a formatted f-string": lambda: f"{SECRET:>40} {SECRET!r:.40} {SECRET!a}",
    "format": lambda: "{}".format(SECRET),  # noqa: UP032 one way of several
    "percent": lambda: "%s %r" % (SECRET, SECRET),  # noqa: UP031 one way of several
    "what holds it": lambda: repr(Source("https://x", SECRET)),
    "a dict": lambda: str({"key": SECRET, "more": [SECRET]}),
    "logging": formatted_by_logging,
    "JSON": rendered_as_json,
    "JSON by str": lambda: json.dumps({"key": SECRET}, default=str),
    "an exception": lambda: repr(ServiceError(f"with {SECRET}")),
    "a traceback with locals": in_a_traceback,
    "a status": in_a_status,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_not_in(way: str) -> None:
    shown = WAYS[way]()
    assert TEXT not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "copied",
    [
        lambda: pickle.dumps(SECRET),
        lambda: pickle.dumps({"key": SECRET}, protocol=2),
        lambda: copy.deepcopy(SECRET),
        lambda: dataclasses.asdict(Source("https://x", SECRET)),
        lambda: json.dumps(SECRET),
        lambda: vars(SECRET),
        lambda: dataclasses.asdict(SECRET),  # type: ignore[call-overload]
        lambda: "x" + SECRET,  # type: ignore[operator]
    ],
    ids=["pickle", "pickle in", "deepcopy", "asdict", "json", "vars", "fields", "plus"],
)
def test_a_secret_is_not_taken_along_by(copied: Callable[[], object]) -> None:
    with pytest.raises(TypeError) as error:
        copied()
    assert TEXT not in str(error.value)


def test_reveal_gives_it() -> None:
    assert SECRET.reveal() == TEXT
