"""Seeded usage and costs of two organizations, day by day. The same day is always the same."""

import datetime as dt
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

Bucket = dict[str, Any]

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


def usage(key: str, day: dt.date, group_by: Iterable[str]) -> list[dict[str, Any]]:
    """Return a day's rows of `usage/completions`; dimensions not grouped by are null."""
    grouped = set(group_by)
    return [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "num_model_requests": tokens_in // 900 + 1,
            "input_cached_tokens": tokens_in // 4,
            "input_uncached_tokens": tokens_in - tokens_in // 4,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "project_id": project if "project_id" in grouped else None,
            "user_id": f"user_{project}" if "user_id" in grouped else None,
            "api_key_id": f"key_{project}" if "api_key_id" in grouped else None,
            "model": model if "model" in grouped else None,
            "batch": False if "batch" in grouped else None,
            "service_tier": "default" if "service_tier" in grouped else None,
        }
        for project, model, tokens_in, tokens_out in _work(key, day)
    ]


def costs(
    key: str, day: dt.date, group_by: Iterable[str], extra: Decimal = Decimal(0)
) -> list[dict[str, Any]]:
    """Return a day's rows of `costs`, money as text with 16 decimals; `extra` is added to each."""
    grouped = set(group_by)
    rows = []
    for project, model, tokens_in, tokens_out in _work(key, day):
        prices = zip(("input", "output"), (tokens_in, tokens_out), MODELS[model], strict=True)
        for kind, tokens, price in prices:
            if price == "0":
                continue
            by_line = "line_item" in grouped
            rows.append(
                {
                    "object": "organization.costs.result",
                    "amount": {
                        "value": f"{Decimal(price) * tokens + extra:.16f}",
                        "currency": "usd",
                    },
                    "line_item": f"{model}, {kind}" if by_line else None,
                    "project_id": project if "project_id" in grouped else None,
                    "api_key_id": None,
                    "quantity": tokens if by_line else None,
                    "quantity_unit": "tokens" if by_line else None,
                }
            )
    return rows


def _work(key: str, day: dt.date) -> Iterator[tuple[str, str, int, int]]:
    for project in ORGANIZATIONS[key]:
        for model in MODELS:
            seeded = random.Random(f"{key}/{day}/{project}/{model}")  # noqa: S311 no secret
            weekend = 3 if day.weekday() > 4 else 1
            size = seeded.randint(20_000, 900_000) // weekend
            yield project, model, size, size // seeded.randint(3, 9)
