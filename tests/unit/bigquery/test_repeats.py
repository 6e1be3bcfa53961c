"""A call is repeated for a moment only, whatever it may take: who calls decides about more."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.api_core.retry import Retry

from libs.bigquery.client import REPEAT_SECONDS, rest_retry, write_retry

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("retry", [rest_retry, write_retry])
@pytest.mark.parametrize(("timeout", "expected"), [(300.0, REPEAT_SECONDS), (0.5, 0.5)])
def test_googles_client_repeats_for_a_moment_whatever_the_call_may_take(
    retry: Callable[[float], Retry], timeout: float, expected: float
) -> None:
    assert retry(timeout).timeout == expected


def asked(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of methods of Google's two clients."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        client = node.func.value
        if isinstance(client, ast.Attribute) and client.attr in {"rest", "write"}:
            yield node


def test_no_call_of_googles_clients_is_left_to_their_own_retries() -> None:
    found = {
        f"{file.relative_to(ROOT)}:{call.lineno}": {word.arg for word in call.keywords}
        for room in ("libs", "services")
        for file in (ROOT / room).rglob("*.py")
        if not file.is_relative_to(ROOT / "libs/local/engine")
        for call in asked(ast.parse(file.read_text()))
    }
    assert len(found) > 10
    assert [place for place, words in found.items() if "retry" not in words] == []


def test_an_unknown_outcome_is_left_to_the_caller() -> None:
    unknown = exceptions.Unknown("x")  # type: ignore[no-untyped-call]
    assert not write_retry(1.0)._predicate(unknown)
