"""Pauses stay within their bounds, whatever was asked for."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.retries import pauses
from services.orchestrator.retries.pauses import LONGEST_ASKED_SECONDS, Pauses, Policy

POLICIES = {name: one for name, one in vars(pauses).items() if isinstance(one, Policy)}


@given(
    policy=st.sampled_from(sorted(POLICIES)),
    failed=st.integers(1, 10_000),
    asked=st.floats(-10, 1e9),
    seed=st.integers(0, 2**32),
)
def test_a_pause_is_what_was_asked_for_and_no_more_than_the_ceiling_on_top(
    policy: str, failed: int, asked: float, seed: int
) -> None:
    one = POLICIES[policy]
    least = min(max(asked, 0.0), LONGEST_ASKED_SECONDS)
    pause = one.pause(failed, Random(seed), asked_seconds=asked)
    assert least <= pause <= least + one.ceiling(failed)
    assert one.ceiling(failed) <= one.longest_seconds


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_the_ceiling_doubles_until_it_is_the_longest(policy: str) -> None:
    one = POLICIES[policy]
    ceilings = [one.ceiling(failed) for failed in range(1, 12)]
    assert ceilings[0] == one.first_seconds
    assert ceilings[-1] == one.longest_seconds
    assert all(b == min(2 * a, one.longest_seconds) for a, b in itertools.pairwise(ceilings))


def test_jitter_is_full_so_that_those_who_failed_together_come_back_apart() -> None:
    random, policy = Random(5), Policy(first_seconds=8.0, longest_seconds=8.0)
    drawn = sorted(policy.pause(1, random) for _ in range(1000))
    quarters = [sum(q <= pause < q + 2 for pause in drawn) for q in (0, 2, 4, 6)]
    assert all(200 < count < 300 for count in quarters)


@pytest.mark.parametrize(
    ("tries", "failed", "over"), [(3, 2, False), (3, 3, True), (None, 99, False)]
)
def test_tries_end_where_the_policy_says(tries: int | None, failed: int, over: bool) -> None:
    assert Policy(first_seconds=1, longest_seconds=1, tries=tries).exhausted(failed) is over


async def test_who_rests_sleeps_for_the_pause_of_its_policy() -> None:
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    policy = Policy(first_seconds=1.0, longest_seconds=60.0)
    await Pauses(sleep=sleep, random=Random(3)).rest(policy, 4, asked_seconds=2.0)
    assert slept == [policy.pause(4, Random(3), asked_seconds=2.0)]
