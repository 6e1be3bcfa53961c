"""What the source tree says about reasons: which are sent, as which code, with which metadata."""

import ast
import dataclasses
import functools
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import libs
import services
from libs.common import errors
from libs.common.errors import ServiceError
from libs.common.rpc import CODES

ROOT: Final = Path(__file__).resolve().parents[3]
APART: Final = ("libs.local.engine", "libs.client")
"""The engine has an environment of its own; the client's words about itself never travel."""
NO_METADATA: Final = frozenset({"message", "reason", "violations", "retry_after"})
REASON: Final = re.compile(r"[A-Z][A-Z_]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A place that makes an error of a reason; `code` is empty where only a run can carry it."""

    reason: str
    code: str
    keys: frozenset[str]
    where: str


@functools.cache
def modules() -> tuple[ModuleType, ...]:
    """Import every module of the product and return them."""
    found = []
    for package in (services, libs):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.startswith(APART) and not info.name.endswith("__main__"):
                found.append(importlib.import_module(info.name))
    return tuple(found)


def subclasses(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """Yield `kind` and all that is derived from it in the product."""
    if kind.__module__.startswith(("libs.", "services.")):
        yield kind
    for sub in kind.__subclasses__():
        yield from subclasses(sub)


def code_of(kind: type[ServiceError]) -> str:
    """Return the name of the code that an error becomes."""
    return next((CODES[one].name for one in kind.__mro__ if one in CODES), "")


@functools.cache
def sent() -> tuple[Sent, ...]:
    """Return every place that makes an error with a reason."""
    return tuple(place for module in modules() for place in _of_module(module))


def _of_module(module: ModuleType) -> Iterator[Sent]:
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text())
    for node in ast.walk(tree):
        where = f"{Path(module.__file__).relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ClassDef):
            yield from _of_class(module, node, where)
        if isinstance(node, ast.Call):
            yield from _of_call(module, node, where)
        if isinstance(node, ast.Raise) and (kind := _kind(module, node.exc)) and kind.reason:
            yield Sent(reason=kind.reason, code=code_of(kind), keys=frozenset(), where=where)


def _of_class(module: ModuleType, node: ast.ClassDef, where: str) -> Iterator[Sent]:
    """Yield what a class's own constructor sends, for all reasons that it is used with."""
    own = getattr(module, node.name, None)
    if (
        not (isinstance(own, type) and issubclass(own, ServiceError))
        or own.__module__ == errors.__name__
    ):
        return
    calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "__init__":
            for kind in subclasses(own):
                for reason in _reasons(call) or [kind.reason]:
                    yield Sent(reason=reason, code=code_of(kind), keys=_keys(call), where=where)


def _of_call(module: ModuleType, call: ast.Call, where: str) -> Iterator[Sent]:
    """Yield what a constructor's call sends where the class has no constructor of its own."""
    kind = _kind(module, call.func)
    if kind is None:
        for reason in _reasons(call):
            yield Sent(reason=reason, code="", keys=frozenset(), where=where)
        return
    own = next(one for one in kind.__mro__ if "__init__" in vars(one))
    keys = _keys(call) if own.__module__ == errors.__name__ else frozenset[str]()
    chosen = any(keyword.arg in {"reason", None} for keyword in call.keywords)
    for reason in _reasons(call) or ([] if chosen and not kind.reason else [kind.reason]):
        yield Sent(reason=reason, code=code_of(kind), keys=keys, where=where)


def _kind(module: ModuleType, node: ast.expr | None) -> type[ServiceError] | None:
    """Return the class of errors that an expression names."""
    found: object = None
    if isinstance(node, ast.Name):
        found = getattr(module, node.id, None)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        found = getattr(getattr(module, node.value.id, None), node.attr, None)
    return found if isinstance(found, type) and issubclass(found, ServiceError) else None


def _reasons(call: ast.Call) -> list[str]:
    """Return the reasons that stand as texts in a call's `reason=`."""
    return [
        part.value
        for keyword in call.keywords
        if keyword.arg == "reason"
        for part in ast.walk(keyword.value)
        if isinstance(part, ast.Constant)
        and isinstance(part.value, str)
        and REASON.fullmatch(part.value)
    ]


def _keys(call: ast.Call) -> frozenset[str]:
    return frozenset(keyword.arg for keyword in call.keywords if keyword.arg) - NO_METADATA


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """What the comment of a reason promises."""

    comment: str
    codes: frozenset[str]
    metadata: frozenset[str]
    of_runs: bool


def documented() -> dict[str, Documented]:
    """Return what error_reason.proto says, by reason; "UNSPECIFIED" is left out."""
    proto = ROOT / "protos" / "convergence" / "common" / "v1" / "error_reason.proto"
    rows = re.findall(r"((?:  // .*\n)+)  ERROR_REASON_(\w+) = \d+;", proto.read_text())
    codes = frozenset({*(code.name for code in CODES.values()), "INTERNAL"})
    found = {}
    for lines, reason in rows:
        comment = " ".join(line.strip().removeprefix("// ") for line in lines.splitlines())
        facts = re.search(r"Metadata: (.*?)\.(?: |$)", comment)
        names = re.sub(r"\(.*?\)", "", facts[1]).split(",") if facts else []
        found[reason] = Documented(
            comment=comment,
            codes=codes & set(re.findall(r"[A-Z_]{5,}", comment)),
            metadata=frozenset(name.strip() for name in names),
            of_runs=comment.startswith("Failure of a run"),
        )
    del found["UNSPECIFIED"]
    return found
