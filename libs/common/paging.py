"""Opaque page tokens, bound to the query that they continue."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from libs.common.errors import InvalidRequest
from libs.common.parse import page_size

T = TypeVar("T")

POSITION: Final = re.compile(r"[0-9]{1,18}")


class PageTokenInvalid(InvalidRequest):
    """A token that was not given for this query."""

    reason = "PAGE_TOKEN_INVALID"

    def __init__(self) -> None:
        why = "not a token of this list; start again without one, with the same other fields"
        super().__init__({"page_token": why}, field="page_token")


def make_token(query: str, position: str) -> str:
    """Return a token that stands for `position` in the list that `query` identifies."""
    text = json.dumps([_digest(query), position])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(query: str, token: str) -> str:
    """Return the position that a token stands for; empty for an empty token."""
    if not token:
        return ""
    try:
        padded = token + "=" * (-len(token) % 4)
        _, position = json.loads(base64.urlsafe_b64decode(padded.encode()))
        given = token == make_token(query, str(position))
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise PageTokenInvalid from error
    if not given:
        raise PageTokenInvalid
    return str(position)


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


class Page:
    """One page of a list. Positions are offsets where its order does not change."""

    def __init__(self, *, asked: int, token: str, query: str) -> None:
        self._query = query
        try:
            self.limit = page_size(asked)
        except ValueError as error:
            raise InvalidRequest({"page_size": str(error)}) from error
        position = read_token(query, token)
        if position and not POSITION.fullmatch(position):
            raise PageTokenInvalid
        self.offset = int(position or 0)

    def of(self, items: Sequence[T]) -> tuple[Sequence[T], str]:
        """Return this page of the whole list, and the next token (empty on the last page)."""
        return self.window(items[self.offset : self.offset + self.limit + 1])

    def below(self, items: Sequence[T], key: Callable[[T], int]) -> tuple[Sequence[T], str]:
        """Return this page of a list in descending order of `key`, which grows at its head.

        The next token stands for the last item's key, so that what came meanwhile shifts nothing.
        """
        left = [item for item in items if not self.offset or key(item) < self.offset]
        some = left[: self.limit]
        more = len(left) > self.limit
        return some, make_token(self._query, str(key(some[-1]))) if more else ""

    def window(self, found: Sequence[T]) -> tuple[Sequence[T], str]:
        """Return this page of up to `limit` + 1 items read from `offset` on, and the next token."""
        more = len(found) > self.limit
        token = make_token(self._query, str(self.offset + self.limit)) if more else ""
        return found[: self.limit], token
