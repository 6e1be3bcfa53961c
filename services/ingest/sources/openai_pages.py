"""A page of OpenAI's reports, held to its published shape."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any, TypeAlias

from services.ingest import exact_json
from services.ingest.failures import SourceProtocolBroken

Row: TypeAlias = Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A day [start, end) and its results; none if the source says that the day is empty."""

    start: dt.datetime
    end: dt.datetime
    results: tuple[Row, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Buckets in order, and whether more follow under `next_page`."""

    buckets: tuple[Bucket, ...]
    has_more: bool
    next_page: str


def page_of(body: bytes, report: str) -> Page:
    """Read an answer. Raises SourceProtocolBroken."""
    try:
        found = exact_json.loads(body.decode())
    except ValueError as error:
        text = f"{report}: the answer is no JSON; retry the run, then ask the provider"
        raise SourceProtocolBroken(text, source=report) from error
    try:
        return _page(found)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        text = f"{report}: {_said(error)}; ask the provider, then retry the run"
        raise SourceProtocolBroken(text, source=report) from error


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the answer lacks {error.args[0]}"
    return "the answer has another shape than is published"


def _page(found: Any) -> Page:
    more, token = found["has_more"], found.get("next_page")
    if not isinstance(more, bool) or not isinstance(token, str | None) or _is_number(token):
        raise TypeError(more, token)
    return Page(
        buckets=tuple(_bucket(bucket) for bucket in _list(found["data"])),
        has_more=more,
        next_page=token or "",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, exact_json.Number)


def _bucket(found: Any) -> Bucket:
    results = _list(found["results"])
    if not all(isinstance(result, dict) for result in results):
        raise TypeError(results)
    return Bucket(
        start=_moment(found["start_time"]),
        end=_moment(found["end_time"]),
        results=tuple(results),
    )


def _list(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise TypeError(found)
    return found


def _moment(text: Any) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(text), dt.UTC)
