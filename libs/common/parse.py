"""From request fields to domain values; every wrong field is reported at once."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Self, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from libs.common.errors import InvalidRequest

T = TypeVar("T")
V = TypeVar("V")

DEFAULT_PAGE_SIZE: Final = 50
LARGEST_PAGE_SIZE: Final = 500


class Reading:
    """Collects violations while a request is read; raises them together when the block ends."""

    def __init__(self) -> None:
        self._violations: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __call__(self, field: str, parse: Callable[[V], T], value: V) -> T:
        """Return `parse(value)`; note its ValueError as a violation of `field`.

        After a violation the value returned must not be used: the block's end raises.
        """
        try:
            return parse(value)
        except ValueError as error:
            found = f" (found {value!r})" if repr(value) not in str(error) else ""
            self._violations[field] = f"{error}{found}"
            return None  # type: ignore[return-value]

    def refuse(self, field: str, why: str) -> None:
        """Note a violation that no parser finds."""
        self._violations[field] = why

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._violations and (kind is None or issubclass(kind, (AttributeError, TypeError))):
            raise InvalidRequest(self._violations) from None


def page_size(asked: int) -> int:
    """Return how many a page has: 0 means 50, too many means 500. Raises ValueError if negative."""
    if asked < 0:
        raise ValueError(f"found {asked}; allowed is 0 (meaning {DEFAULT_PAGE_SIZE}) or more")
    return min(asked or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)


def required(text: str) -> str:
    """Return a text that must not be empty."""
    if not text:
        raise ValueError("found nothing; the field is required")
    return text


def moment(message: Timestamp) -> datetime:
    """Return a Timestamp as UTC; raise ValueError where it is out of range."""
    with contextlib.suppress(OverflowError, ValueError):
        return message.ToDatetime(tzinfo=UTC)
    found = f"found {message.seconds} s and {message.nanos} ns"
    raise ValueError(f"{found}; allowed are years 1 to 9999, and less than a second of ns")
