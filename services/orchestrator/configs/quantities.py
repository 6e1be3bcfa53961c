"""Spans of time, sizes and cron lines as people write them in YAML."""

import re
import zoneinfo
from typing import Final

from services.orchestrator.schedules.fires import possible

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES: Final = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_CRON_FIELDS: Final = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)


class Misread(ValueError):
    """A value that is not written as it must be; `allowed` says how it must be."""

    def __init__(self, allowed: str, advice: str = "correct the value") -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.advice = advice


def seconds(value: object) -> int:
    """Return the seconds of `45s`, `30m`, `2h`, `7d`; raise Misread."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise Misread("a whole number with s, m, h or d, as in 2h or 7d")
    return int(match[1]) * _UNITS[match[2]]


def days(value: object) -> int:
    """Return the days of `7d`; raise Misread."""
    match = re.fullmatch(r"([0-9]{1,4})d", value) if isinstance(value, str) else None
    if match is None:
        raise Misread("whole days, as in 7d")
    return int(match[1])


def lookback(value: object) -> tuple[int, str]:
    """Return number and unit, `d` or `mo`, of `7d` or `3mo`; raise Misread."""
    match = re.fullmatch(r"([0-9]{1,4})(d|mo)", value) if isinstance(value, str) else None
    if match is None:
        raise Misread("whole days, as in 7d, or with grain month whole months, as in 3mo")
    return int(match[1]), match[2]


def size_bytes(value: object) -> int:
    """Return the bytes of `64MiB`, `512KiB`, `1GiB`; raise Misread."""
    match = re.fullmatch(r"([0-9]{1,9})(B|KiB|MiB|GiB)", value) if isinstance(value, str) else None
    if match is None:
        raise Misread("a whole number with B, KiB, MiB or GiB, as in 64MiB")
    return int(match[1]) * _SIZES[match[2]]


def timezone(value: str) -> str:
    """Return a name of the IANA time zone database; raise Misread."""
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise Misread("a name of the IANA time zone database, as UTC or Europe/Berlin") from None
    return value


def cron(value: str) -> str:
    """Return a cron line of five fields of numbers that fires some day; raise Misread."""
    fields = value.split()
    if len(fields) != len(_CRON_FIELDS):
        raise Misread('five fields: minute hour day month weekday, as in "0 6 * * *"')
    for text, (name, least, most) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_cron_part(part, least, most) for part in text.split(",")):
            raise Misread(f"{name} of *, numbers {least} to {most}, ranges a-b, steps /n, lists")
    if not possible(value):
        raise Misread("a day that some month has", "correct day of month and month")
    return value


def _cron_part(part: str, least: int, most: int) -> bool:
    match = re.fullmatch(r"(\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?", part)
    if match is None or (match[4] is not None and int(match[4]) == 0):
        return False
    first = int(match[2]) if match[2] else least
    last = int(match[3]) if match[3] else most if match[2] is None else first
    return least <= first <= last <= most
