"""Fuzz the readers and the config parser for some minutes, round by round, each with its seed."""

import argparse
import faulthandler
import random
import time
from collections import Counter
from typing import Final

from hypothesis import HealthCheck, Phase, seed, settings

from tests.fuzz.properties import PROPERTIES, Property

ROUND: Final = 300
"""Examples of one property in one round."""

HANG_SECONDS: Final = 60.0
"""An example that takes longer is a hang."""


def fuzz(minutes: float, first_seed: int) -> Counter[str]:
    """Run rounds of every property until the time is over; return examples by property."""
    end, number, done = time.monotonic() + 60 * minutes, first_seed, Counter[str]()
    while time.monotonic() < end:
        for one in PROPERTIES:
            print(f"{one.name} seed {number}", flush=True)
            one_round(one, number)
            done[one.name] += ROUND
        number += 1
    return done


def one_round(one: Property, number: int, examples: int = ROUND) -> None:
    """Run one property on examples drawn by a seed; a hang ends the process with a traceback."""
    faulthandler.dump_traceback_later(HANG_SECONDS * max(1, examples // 20), exit=True)
    try:
        quiet = settings(
            max_examples=examples,
            database=None,
            deadline=HANG_SECONDS * 1000,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(quiet(one.test()))()
    finally:
        faulthandler.cancel_dump_traceback_later()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    asked = parser.parse_args()
    done = fuzz(asked.minutes, asked.seed)
    for name, count in sorted(done.items()):
        print(f"{count} examples: {name}")
    print(f"no crash, hang or lost record in {done.total()} examples from seed {asked.seed} on")


if __name__ == "__main__":
    main()
