"""Seeded usage and costs of two organizations, day by day. The same day is always the same."""

import datetime as dt
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

Bucket = dict[str, Any]
Row = dict[str, Any]

ORGANIZATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "sk-admin-acme-demo": ("proj_search", "proj_support", "proj_batch"),
    "sk-admin-widgets-demo": ("proj_catalog", "proj_chat"),
}
"""Projects by admin key."""

MODELS: Final[Mapping[str, tuple[str, str]]] = {
    "gpt-5": ("0.00000125", "0.00001"),
    "gpt-5-mini": ("0.00000025", "0.000002"),
    "text-embedding-3-large": ("0.00000013", "0"),
}
"""US dollars for a token, in and out."""

DIMENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "usage/completions": ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier"),
    "costs": ("project_id", "line_item", "api_key_id"),
}


def days(start: int, end: int) -> Iterator[dt.date]:
    """Yield the UTC days of [start, end), Unix seconds."""
    day = dt.datetime.fromtimestamp(start, dt.UTC).date()
    while dt.datetime.combine(day, dt.time.min, dt.UTC).timestamp() < end:
        yield day
        day += dt.timedelta(days=1)


def bucket(day: dt.date, results: Sequence[Mapping[str, Any]]) -> Bucket:
    """Return a day's bucket."""
    begin = int(dt.datetime.combine(day, dt.time.min, dt.UTC).timestamp())
    return {
        "object": "bucket",
        "start_time": begin,
        "end_time": begin + 86_400,
        "results": list(results),
    }


def usage(key: str, day: dt.date, group_by: Iterable[str]) -> list[Row]:
    """Return a day's rows of `usage/completions`: the dimensions grouped by are the grain."""
    rows = (
        {
            "object": "organization.usage.completions.result",
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "num_model_requests": tokens_in // 900 + 1,
            "input_cached_tokens": tokens_in // 4,
            "input_uncached_tokens": tokens_in - tokens_in // 4,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "project_id": project,
            "user_id": f"user_{project}",
            "api_key_id": f"key_{project}",
            "model": model,
            "batch": False,
            "service_tier": "default",
        }
        for project, model, tokens_in, tokens_out in _work(key, day)
    )
    return _grouped(rows, DIMENSIONS["usage/completions"], set(group_by))


def costs(
    key: str, day: dt.date, group_by: Iterable[str], extra: Decimal = Decimal(0)
) -> list[Row]:
    """Return a day's rows of `costs`, money as text with 16 decimals; `extra` is added to each.

    A quantity comes only with `line_item`.
    """
    grouped = set(group_by)
    rows = _grouped(_lines(key, day), DIMENSIONS["costs"], grouped)
    return [
        {
            "object": "organization.costs.result",
            "amount": {"value": f"{row['value'] + extra:.16f}", "currency": "usd"},
            **{name: row[name] for name in DIMENSIONS["costs"]},
            "quantity": row["quantity"] if "line_item" in grouped else None,
            "quantity_unit": "tokens" if "line_item" in grouped else None,
        }
        for row in rows
    ]


def _lines(key: str, day: dt.date) -> Iterator[Row]:
    for project, model, tokens_in, tokens_out in _work(key, day):
        prices = zip(("input", "output"), (tokens_in, tokens_out), MODELS[model], strict=True)
        for kind, tokens, price in prices:
            if price != "0":
                yield {
                    "value": Decimal(price) * tokens,
                    "quantity": tokens,
                    "project_id": project,
                    "line_item": f"{model}, {kind}",
                    "api_key_id": f"key_{project}",
                }


def _grouped(rows: Iterable[Row], dimensions: Sequence[str], by: set[str]) -> list[Row]:
    """Return one row for each value of the dimensions in `by`; the others are null."""
    found: dict[tuple[object, ...], Row] = {}
    for row in rows:
        grain = {name: row[name] if name in by else None for name in dimensions}
        known = found.setdefault(tuple(grain.values()), {})
        for name, value in row.items():
            adds = isinstance(value, int | Decimal) and not isinstance(value, bool)
            known[name] = grain.get(name, known.get(name, 0) + value if adds else value)
    return list(found.values())


def _work(key: str, day: dt.date) -> Iterator[tuple[str, str, int, int]]:
    for project in ORGANIZATIONS[key]:
        for model in MODELS:
            seeded = random.Random(f"{key}/{day}/{project}/{model}")  # noqa: S311 no secret
            weekend = 3 if day.weekday() > 4 else 1
            size = seeded.randint(20_000, 900_000) // weekend
            yield project, model, size, size // seeded.randint(3, 9)
