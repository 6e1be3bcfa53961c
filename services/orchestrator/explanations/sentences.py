"""Words that several sentences share."""

from datetime import datetime, timedelta


def moment(at: datetime) -> str:
    """Return a moment for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def lasting(span: timedelta) -> str:
    """Return how long something took, to the second: the larger units are left out while they are 0."""
    seconds = max(int(span.total_seconds()), 0)
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join([*shown, f"{seconds % 60} s"][:3])


def count(number: int, noun: str) -> str:
    """Return `1 chunk`, `2 chunks`."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def closed(text: str) -> str:
    """Return a sentence with its full stop."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
