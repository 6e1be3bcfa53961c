"""When a cron line fires: the one place that knows cron, time zones and changes of the clock."""

import hashlib
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


def fires(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Yield the nominal times of a cron line later than `after`: UTC, whole minutes, ascending.

    A line that names its hours goes by the clock on the wall: what falls into a gap fires once, at
    the gap's end; what falls into an hour that comes twice fires in the first. A line for every
    hour goes by time that passes, and no change of the clock disturbs it. Ends when nothing fires for
    50 years.
    """
    zone: tzinfo = UTC if timezone == "UTC" else ZoneInfo(timezone)
    last = after
    for local in CronSim(_spelled(cron), after.astimezone(zone)):
        fire = local.astimezone(UTC)
        if fire > last:
            last = fire
            yield fire


def next_fires(cron: str, timezone: str, after: datetime, count: int) -> tuple[datetime, ...]:
    """Return the next `count` nominal times later than `after`, fewer where there are no more."""
    return tuple(itertools.islice(fires(cron, timezone, after), count))


def possible(cron: str) -> bool:
    """Return whether a well-formed line of numbers ever fires: no month has a 31st of February."""
    try:
        return bool(next_fires(cron, "UTC", datetime(2000, 1, 1, tzinfo=UTC), 1))
    except CronSimError:
        return False


def jitter_of(name: str, most_seconds: int) -> timedelta:
    """Return by how much the fires of a schedule are late on purpose: less than `most_seconds`.

    The same for the same name, everywhere and always; names are spread evenly.
    """
    if not most_seconds:
        return timedelta()
    digest = hashlib.sha256(name.encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:8]) % most_seconds)


def _spelled(cron: str) -> str:
    """Return a line that names its hours without stars in front: those would go by passing time."""
    minute, hour, *days = cron.split()
    if hour in {"*", "*/1"}:
        return cron
    return " ".join((_listed(minute, 59), _listed(hour, 23), *days))


def _listed(field: str, most: int) -> str:
    return ",".join(re.sub(r"^\*", f"0-{most}", part) for part in field.split(","))
