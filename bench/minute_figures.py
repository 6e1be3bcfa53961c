"""What a minute in which many schedules fire has shown, against what was promised of it: pure."""

import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from bench.figures import Figure

IN_TURN: Final = 1.0
"""Chunks: a tenant that waits for its first sees another be given one at most."""


@dataclasses.dataclass(frozen=True, slots=True)
class Begun:
    """A chunk that a worker was given."""

    tenant: str
    run: str
    at: float


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """A slot that the orchestrator gave to a chunk.

    came, turn: How many slots had been given when the chunk came to wait, and with this one.
    waited: Seconds in between.
    """

    tenant: str
    run: str
    came: int
    turn: int
    waited: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of the minute.

    tenants, rows_each: How many schedules fire, and the rows that each run has to read.
    minute: When they fire; this and all times in seconds since 1970.
    ended: When each scheduled run succeeded.
    chunks, rows: Of each scheduled run, as the journal has them.
    begun: Chunks of all runs that workers were given.
    placed: Slots that were given to chunks of all runs.
    calls: When each CreateRun was called while scheduled runs were under way, and its seconds.
    cpu: Processor seconds by group of processes, meanwhile.
    load: The machine's load average before it: what others did.
    """

    tenants: int
    rows_each: int
    minute: float
    ended: Mapping[str, float]
    chunks: Mapping[str, int]
    rows: Mapping[str, int]
    begun: Sequence[Begun]
    placed: Sequence[Placed]
    calls: Sequence[tuple[float, float]]
    cpu: Mapping[str, float]
    load: float


def figures(seen: Seen) -> list[Figure]:
    """Return what was promised of such a minute, beside what was seen."""
    first: dict[str, float] = {}
    for one in seen.begun:
        first[one.run] = min(one.at, first.get(one.run, one.at))
    tries = Counter(one.run for one in seen.begun)
    whole = [run for run in seen.ended if seen.rows[run] == seen.rows_each]
    latest_first = sorted(seen.placed, key=lambda slot: slot.turn, reverse=True)
    firsts = {slot.run: slot for slot in latest_first if slot.run in seen.ended}
    waited = [slot.waited for slot in firsts.values()]
    took = sorted(seconds for _, seconds in seen.calls)
    used = ", ".join(f"{group} {seconds:.0f} s" for group, seconds in seen.cpu.items())
    return [
        Figure(
            what=f"{seen.tenants:,} tenants with a schedule in the same minute: runs that ended with all they read",
            value=float(len(whole)),
            unit="runs",
            bar=float(seen.tenants),
            at_least=True,
            detail=f"all ended after {max(seen.ended.values()) - seen.minute:.0f} s; processor: {used}; the machine's load before it was {seen.load:.1f}",
        ),
        Figure(
            what="streams that a run of them opened beyond one for each chunk, at most",
            value=float(max(tries[run] - seen.chunks[run] for run in seen.ended)),
            unit="streams",
            bar=1.0,
            detail=f"{sum(seen.chunks.values()):,} chunks; each try opens one",
        ),
        Figure(
            what="chunks that any one tenant is given while another waits for its first, at most",
            value=float(max(_passed(seen.placed, slot) for slot in firsts.values())),
            unit="chunks",
            bar=IN_TURN,
            detail=f"as the orchestrator's log tells the slots that it gave; of {len(firsts):,} tenants "
            f"one waited {max(waited):.1f} s for its first, half of them up to "
            f"{statistics.median(waited) * 1000:.0f} ms; the last first chunk was given after "
            f"{max(first[run] for run in seen.ended) - seen.minute:.0f} s",
        ),
        Figure(
            what="CreateRun under that load, p99",
            value=quantile(took, 0.99) * 1000,
            unit="ms",
            bar=250.0,
            detail=f"{len(took)} calls in a process of their own; median "
            f"{statistics.median(took) * 1000:.0f} ms, the slowest {took[-1] * 1000:.0f} ms",
        ),
    ]


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return the value that `part` of the values are not above."""
    return ordered[math.ceil(part * len(ordered)) - 1]


def _passed(placed: Sequence[Placed], waiter: Placed) -> int:
    """Return the most slots that any other tenant was given while a chunk waited."""
    counts = Counter(
        one.tenant
        for one in placed
        if waiter.came < one.turn < waiter.turn and one.tenant != waiter.tenant
    )
    return max(counts.values(), default=0)
