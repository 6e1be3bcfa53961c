"""What may happen to a call between an orchestrator and a neighbour, and the odds of it."""

import dataclasses
import enum
from random import Random
from typing import Final, NamedTuple, Protocol


class Fault(enum.StrEnum):
    """What may happen to one call."""

    DELAY = "late"
    FAIL = "unheard"
    """Nothing happens, and the caller is told that its call failed."""
    LOSE = "lost"
    """It happens, and the caller is told that its call failed."""
    REPEAT = "twice"
    ECHO = "echo"
    """A copy of the request takes effect again, seconds after the answer."""
    CRASH_BEFORE = "crash <"
    """The caller dies before it sends the request."""
    CRASH_AFTER = "crash >"
    """The caller dies when it has taken effect, before it hears the answer."""
    PAUSE_BEFORE = "pause <"
    """The caller stops before it sends the request, and goes on much later."""
    PAUSE_AFTER = "pause >"
    DEPOSE = "deposed"
    """The caller's lease ends, and it goes on beside a successor."""
    ENDED = "gone"
    """Every stream that is not committed has ended before the request is sent."""
    REORDER = "overtaken"
    """Seen, not chosen: a later call of the port took effect before this one."""


CHOSEN: Final = (
    Fault.DELAY,
    Fault.FAIL,
    Fault.LOSE,
    Fault.REPEAT,
    Fault.ECHO,
    Fault.CRASH_BEFORE,
    Fault.CRASH_AFTER,
    Fault.PAUSE_BEFORE,
    Fault.PAUSE_AFTER,
    Fault.DEPOSE,
    Fault.ENDED,
)
CRASHES: Final = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER})
PAUSES: Final = frozenset({Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER})
ENDS: Final = CRASHES | PAUSES | {Fault.DEPOSE}


class Point(NamedTuple):
    """A method of a port."""

    port: str
    method: str

    def __str__(self) -> str:
        return f"{self.port}.{self.method}"


DEDUPLICATED: Final = frozenset(
    {
        "delete_strays",
        "delete_stray_quarantine",
        "tidy_published",
        "tidy_unpublished",
        "take",
        "announce",
        "open",
    }
)
"""Requests of which a late copy changes nothing, as the first one's job id (or version) is taken, or as
nobody is told of the stream that it makes: these are repeated by who asks, at once, and have no echo."""

INSTEAD: Final = {Fault.ECHO: Fault.REPEAT, Fault.DEPOSE: Fault.DELAY}


def occurs_not(point: Point, fault: Fault) -> bool:
    """Return whether a fault cannot meet a point at all."""
    if fault is Fault.ECHO:
        return point.method in DEDUPLICATED
    return fault is Fault.DEPOSE and point.method == "take"


RARE: Final = frozenset(
    {
        "warehouse.commit_target",
        "warehouse.delete_strays",
        "warehouse.delete_stray_quarantine",
        "warehouse.published_of",
        "warehouse.publish_transform",
        "warehouse.tidy_transform",
    }
)
"""Points that few stories come by: these meet more when they do."""


class Chance(Protocol):
    """Decides which call meets what, and how long things take."""

    calm: bool
    """Whether nothing breaks any more."""

    def meets(self, point: Point) -> Fault | None:
        """Return what the next call meets. Each call asks once."""

    def way(self, fault: Fault | None) -> float:
        """Return the seconds that a request, or an answer, is on its way."""

    def echo(self) -> float:
        """Return the seconds after which a copy of a request arrives."""

    def stop(self) -> float:
        """Return the seconds for which a caller is paused."""


@dataclasses.dataclass(slots=True)
class Odds:
    """Chance by a seed alone."""

    random: Random
    rate: float
    forced: frozenset[int]
    """Numbers of calls that meet something in any case."""
    ends: int
    """How many crashes, pauses and depositions of callers are left."""
    calm: bool = False
    number: int = 0

    def meets(self, point: Point) -> Fault | None:
        self.number += 1
        rare = str(point) in RARE
        due = self.number in self.forced or self.random.random() < (0.4 if rare else self.rate)
        if self.calm or not due:
            return None
        fault = self.random.choice(CHOSEN)
        if fault in ENDS:
            if self.ends < (0 if rare else 1):
                return Fault.DELAY
            self.ends -= 1
        return INSTEAD.get(fault, fault) if occurs_not(point, fault) else fault

    def way(self, fault: Fault | None) -> float:
        if fault is not Fault.DELAY:
            return self.random.uniform(0.001, 0.02)
        return self.random.choice([0.3, 1.0, 3.0, 12.0, 25.0]) * self.random.uniform(0.5, 1.5)

    def echo(self) -> float:
        return self.random.uniform(0.05, 5.0)

    def stop(self) -> float:
        return self.random.choice([3.0, 8.0, 12.0, 20.0, 40.0])
