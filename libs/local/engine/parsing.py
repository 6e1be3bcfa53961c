"""The text of a statement, taken apart once."""

from __future__ import annotations

import functools
from typing import Any

from sqlglot.dialects.dialect import Dialect

MOST_TEXTS = 16
LONGEST = 10_000
"""Characters of a text that is kept: a tree takes some five hundred times its text."""

_parse = Dialect.parse


def statements_parsed_once() -> None:
    """Keep the syntax trees of the last MOST_TEXTS texts, and give copies of them.

    Stock parses each statement some fifteen times on its way, and its translation some more: most of
    what a small one costs. A copy costs a third of it.
    """

    def again(self: Dialect, sql: str, **options: Any) -> list[Any]:
        usual = self.normalization_strategy is self.NORMALIZATION_STRATEGY and not self.settings
        asked = any(option is not None for option in options.values())
        if asked or not usual or len(sql) > LONGEST:
            return list(_parse(self, sql, **options))
        return [tree.copy() if tree is not None else None for tree in _parsed(type(self), sql)]

    Dialect.parse = again


@functools.lru_cache(maxsize=MOST_TEXTS)
def _parsed(dialect: type[Dialect], sql: str) -> tuple[Any, ...]:
    return tuple(_parse(dialect(), sql))


def forget() -> None:
    """Let go of the trees that are kept."""
    _parsed.cache_clear()
