"""From a seed to its outcome: the same story each time."""

import contextlib
import dataclasses
import gc
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Generator, Iterable
from typing import Any

import structlog

from tests.sim.faults import Fault
from tests.sim.invariants import Broken
from tests.sim.loop import Stuck
from tests.sim.script import told
from tests.sim.world import World


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one seed."""

    seed: int
    broken: str
    """Which promise was broken and how; empty if none was."""
    story: tuple[str, ...]
    met: Counter[tuple[str, str]]
    """Faults by point and kind."""
    planned: Counter[tuple[str, str]]
    """What became of fires and backfills."""
    runs: int
    faults: int
    terms: int
    overlapped: bool
    looks: int
    waived: int
    """Leaks that a late copy or a former leader has made."""


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Leave out what the orchestrator logs, and collect no garbage in the middle of a story."""
    before = structlog.get_config()
    critical = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=critical, cache_logger_on_first_use=False)
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        structlog.configure(**before)


def simulate(seed: int) -> Outcome:
    """Tell the story of one seed."""
    with quiet():
        world = World(seed)
        return _outcome(world, ending(world, told(world)))


def ending(world: World, story: Coroutine[Any, Any, None]) -> str:
    """Tell a story to its end; return which promise was broken and how, empty if none was."""
    try:
        world.loop.run_until_complete(story)
    except Broken as error:
        return str(error)
    except Stuck as error:
        return f"liveness: {error}"
    except Exception as error:  # noqa: BLE001 whatever ends a story is its outcome
        return f"no-crash: {error!r}"
    finally:
        world.loop.wind_up()
    return ""


def _outcome(world: World, broken: str) -> Outcome:
    met: Counter[tuple[str, str]] = Counter(
        {(point, str(fault)): count for (point, fault), count in world.network.met.items()}
    )
    chosen = {key: count for key, count in met.items() if key[1] != Fault.REORDER}
    return Outcome(
        seed=world.seed,
        broken=broken,
        story=tuple(world.story),
        met=met,
        planned=world.checks.plans.met,
        runs=len(world.checks.runs),
        faults=sum(chosen.values()) + world.events,
        terms=len({record.epoch for record in world.journals.records}),
        overlapped=world.overlapped,
        looks=world.checks.looks,
        waived=world.checks.waived,
    )


@dataclasses.dataclass(slots=True)
class Tally:
    """What many seeds came to."""

    seeds: int = 0
    runs: int = 0
    faults: int = 0
    fewest_faults: int = 1_000_000
    fewest_runs: int = 1_000_000
    led_anew: int = 0
    """Seeds in which the leader changed."""
    overlapped: int = 0
    """Seeds in which a former leader went on beside its successor."""
    looks: int = 0
    waived: int = 0
    """Leaks that a late copy or a former leader has made."""
    cpu_seconds: float = 0.0
    met: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    planned: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    broken: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.runs += outcome.runs
        self.faults += outcome.faults
        self.fewest_faults = min(self.fewest_faults, outcome.faults)
        self.fewest_runs = min(self.fewest_runs, outcome.runs)
        self.led_anew += outcome.terms > 1
        self.overlapped += outcome.overlapped
        self.looks += outcome.looks
        self.waived += outcome.waived
        self.met.update(outcome.met)
        self.planned.update(outcome.planned)
        if outcome.broken:
            self.broken.append((outcome.seed, outcome.broken))

    def join(self, other: "Tally") -> None:
        """Add what another process has counted."""
        self.seeds += other.seeds
        self.runs += other.runs
        self.faults += other.faults
        self.fewest_faults = min(self.fewest_faults, other.fewest_faults)
        self.fewest_runs = min(self.fewest_runs, other.fewest_runs)
        self.led_anew += other.led_anew
        self.overlapped += other.overlapped
        self.looks += other.looks
        self.waived += other.waived
        self.cpu_seconds += other.cpu_seconds
        self.met.update(other.met)
        self.planned.update(other.planned)
        self.broken += other.broken


def tally(seeds: Iterable[int]) -> Tally:
    """Tell the stories of seeds one after another."""
    found, begun = Tally(), time.process_time()
    for seed in seeds:
        found.add(simulate(seed))
        if not seed % 8:
            gc.collect()
    found.cpu_seconds = time.process_time() - begun
    return found
