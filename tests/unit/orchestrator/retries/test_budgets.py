"""However many want to try again, a dependency gets no more retries than it has earned, and a trickle."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.retries.budgets import CAPACITY, TRICKLE_PER_SECOND, Budgets
from services.orchestrator.retries.causes import WAREHOUSE, WORKERS, Dependency, Neighbour
from tests.support.virtual_time import in_virtual_time

Moments = st.lists(st.floats(0, 300), max_size=150)


async def story(wanted: list[float], successes: list[float]) -> list[float]:
    """Let retries be wanted and successes happen at these seconds; return when retries went out."""
    budgets, sent, loop = Budgets(asyncio.sleep), list[float](), asyncio.get_running_loop()

    async def want(moment: float) -> None:
        await asyncio.sleep(moment)
        await budgets.spend(WORKERS)
        sent.append(loop.time())

    async def succeed(moment: float) -> None:
        await asyncio.sleep(moment)
        budgets.earn(WORKERS)

    async with asyncio.TaskGroup() as group:
        for moment in wanted:
            group.create_task(want(moment))
        for moment in successes:
            group.create_task(succeed(moment))
    return sent


@settings(max_examples=60, deadline=None)
@given(wanted=Moments, successes=Moments)
def test_retries_are_no_more_than_capacity_successes_and_trickle(
    wanted: list[float], successes: list[float]
) -> None:
    sent = in_virtual_time(story(wanted, successes))
    assert len(sent) == len(wanted)
    for count, moment in enumerate(sent, start=1):
        earned = sum(success <= moment for success in successes)
        assert count <= CAPACITY + earned + moment * TRICKLE_PER_SECOND + 1e-6


@settings(max_examples=30, deadline=None)
@given(wanted=st.lists(st.floats(0, 60), min_size=CAPACITY + 40, max_size=150))
def test_who_never_succeeds_gets_a_trickle_in_every_window_once_its_capacity_is_spent(
    wanted: list[float],
) -> None:
    sent = in_virtual_time(story(wanted, []))
    late = sent[CAPACITY:]
    for begin in late:
        within = sum(begin <= moment < begin + 10 for moment in late)
        assert within <= 10 * TRICKLE_PER_SECOND + 1


def test_as_many_go_out_as_have_just_succeeded() -> None:
    sent = in_virtual_time(story([0.0] * (CAPACITY + 5), [0.5] * 3))
    assert sent[:CAPACITY] == [0.0] * CAPACITY
    assert sent[CAPACITY : CAPACITY + 3] == pytest.approx([0.5] * 3)
    assert sent[CAPACITY + 3 :] == pytest.approx([1.5, 2.5])


def test_whoever_waits_longest_goes_first_and_one_that_goes_away_costs_nothing() -> None:
    async def told() -> list[int]:
        budgets, order = Budgets(asyncio.sleep), list[int]()

        async def want(number: int) -> None:
            await budgets.spend(WORKERS)
            order.append(number)

        tasks = [asyncio.create_task(want(number)) for number in range(CAPACITY + 4)]
        await asyncio.sleep(0)
        assert budgets.waiting(Neighbour.WORKERS) == 4
        tasks[CAPACITY].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert budgets.waiting(Neighbour.WORKERS) == 0
        return order

    assert in_virtual_time(told()) == [*range(CAPACITY), *range(CAPACITY + 1, CAPACITY + 4)]


def test_a_sick_dependency_keeps_nobody_from_another_one() -> None:
    async def told() -> float:
        budgets = Budgets(asyncio.sleep)
        sick = [asyncio.create_task(budgets.spend(WORKERS)) for _ in range(CAPACITY + 50)]
        await asyncio.sleep(0)
        await budgets.spend(WAREHOUSE)
        for task in sick:
            task.cancel()
        return asyncio.get_running_loop().time()

    assert in_virtual_time(told()) == 0.0


async def test_budgets_that_are_whole_again_are_forgotten_and_the_poorest_account_is_told() -> None:
    budgets = Budgets(asyncio.sleep)
    accounts = [Dependency(Neighbour.SOURCE, f"acme/{number}") for number in range(3)]
    for account in accounts:
        await budgets.spend(account)
    await budgets.spend(accounts[0])
    assert budgets.left(Neighbour.SOURCE) == CAPACITY - 2
    assert budgets.left(Neighbour.AUTH) == CAPACITY
    for account in (accounts[0], *accounts):
        budgets.earn(account)
    assert len(budgets) == 0


async def test_a_dependency_is_calm_while_more_than_half_is_left() -> None:
    budgets = Budgets(asyncio.sleep)
    for _ in range(CAPACITY // 2 - 1):
        await budgets.spend(WORKERS)
    assert budgets.calm(WORKERS)
    await budgets.spend(WORKERS)
    assert not budgets.calm(WORKERS)
