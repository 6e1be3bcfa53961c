"""What every election keeps: one leader, rising epochs, and the stream that the next one must seal."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from services.orchestrator.elections.elections import (
    Election,
    LeaseTaken,
    LeaseUnusable,
    Term,
)
from tests.contracts.election_benches import BENCHES, Bench, FolderBench, candidate, leading


@pytest_asyncio.fixture(params=BENCHES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Bench]:
    async with BENCHES[request.param](tmp_path) as made:
        yield made


async def won(election: Election, seconds: float = 5.0) -> Term:
    async with asyncio.timeout(seconds):
        return await election.win()


async def waits(election: Election, seconds: float = 0.6) -> "asyncio.Task[Term]":
    """Stand, and see that nobody is elected for a while."""
    winning = asyncio.create_task(election.win())
    done, _ = await asyncio.wait({winning}, timeout=seconds)
    assert not done
    return winning


async def test_the_first_leader_has_nobody_before_it(bench: Bench) -> None:
    async with candidate(bench) as election:
        assert await won(election) == Term(epoch=1)


async def test_a_successor_learns_the_stream_and_the_epoch_that_wrote_it(bench: Bench) -> None:
    async with candidate(bench) as first:
        await won(first)
        await first.announce("stream/1")
    async with candidate(bench) as second:
        assert await won(second) == Term(epoch=2, predecessor="stream/1", predecessor_epoch=1)
        await second.announce("stream/2")
    async with candidate(bench) as third:
        assert await won(third) == Term(epoch=3, predecessor="stream/2", predecessor_epoch=2)


async def test_terms_that_announced_nothing_hand_on_the_stream_before_them(bench: Bench) -> None:
    async with candidate(bench) as first:
        await won(first)
        await first.announce("stream/1")
    for epoch in (2, 3, 4):
        async with candidate(bench) as election:
            term = await won(election)
        assert term == Term(epoch=epoch, predecessor="stream/1", predecessor_epoch=1)


async def test_a_lease_without_the_epoch_of_its_stream_is_read(bench: Bench) -> None:
    await bench.write(json.dumps({"epoch": 4, "stream": "stream/4"}))
    async with candidate(bench) as election:
        assert await won(election) == Term(epoch=5, predecessor="stream/4", predecessor_epoch=4)


@pytest.mark.parametrize("text", ["not json", "[1]", '{"epoch": []}', '{"announced": "soon"}'])
async def test_a_lease_that_cannot_be_read_elects_nobody_until_it_is_mended(
    bench: Bench, text: str
) -> None:
    await bench.write(text)
    async with candidate(bench) as election:
        with pytest.raises(LeaseUnusable, match=r"cannot be read .*: .* while no orchestrator"):
            await won(election)
        await bench.write("{}")
        assert await won(election) == Term(epoch=1)


async def test_a_long_stream_name_is_replaced_by_a_short_one(bench: Bench) -> None:
    async with candidate(bench) as election:
        await won(election)
        await election.announce("s" * 1000)
        await election.announce("short")
    async with candidate(bench) as second:
        assert (await won(second)).predecessor == "short"


async def test_nobody_is_elected_while_another_process_leads(bench: Bench) -> None:
    async with leading(bench, "stream/1") as process, candidate(bench) as waiting:
        winning = await waits(waiting, bench.lease_seconds + 0.6)
        process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(bench.patience_seconds):
            term = await winning
    assert term == Term(epoch=2, predecessor="stream/1", predecessor_epoch=1)


async def test_a_leader_killed_before_it_announced_leaves_the_stream_of_the_one_before(
    bench: Bench,
) -> None:
    async with candidate(bench) as first:
        await won(first)
        await first.announce("stream/1")
    async with leading(bench, "") as process:
        process.kill()
        await process.wait()
    async with candidate(bench) as election:
        term = await won(election, bench.patience_seconds)
        assert term == Term(epoch=3, predecessor="stream/1", predecessor_epoch=1)


async def test_of_many_candidates_at_once_one_leads_at_a_time(bench: Bench) -> None:
    """With a lease that outlasts whatever keeps the processor from all of them: none is taken over."""
    bench.lease_seconds = 600.0
    leaders, epochs = 0, []

    async def lead() -> None:
        nonlocal leaders
        async with candidate(bench) as election:
            term = await won(election)
            leaders += 1
            assert leaders == 1
            epochs.append(term.epoch)
            await asyncio.sleep(0.01)
            leaders -= 1

    await asyncio.gather(*(lead() for _ in range(4)))
    assert epochs == [1, 2, 3, 4]


@pytest.mark.parametrize("times", [1, 2])
async def test_giving_up_may_be_repeated(bench: Bench, times: int) -> None:
    election = bench.of(bench.place())
    await won(election)
    for _ in range(times):
        await election.close()
    async with candidate(bench) as second:
        assert (await won(second)).epoch == 2


async def test_who_gives_up_lets_the_next_one_win_at_once(bench: Bench) -> None:
    async with candidate(bench) as first, candidate(bench) as second:
        await won(first)
        winning = await waits(second, 0.3)
        await first.close()
        async with asyncio.timeout(2.0):
            assert (await winning).epoch == 2


async def test_who_stepped_down_may_stand_again(bench: Bench) -> None:
    async with candidate(bench) as first, candidate(bench) as second:
        await won(first)
        await first.announce("stream/1")
        await first.close()
        assert await won(second) == Term(epoch=2, predecessor="stream/1", predecessor_epoch=1)
        await second.close()
        assert await won(first) == Term(epoch=3, predecessor="stream/1", predecessor_epoch=1)


async def test_a_term_that_another_replaced_before_it_announced_announces_nothing(
    bench: Bench,
) -> None:
    async with candidate(bench) as slow, candidate(bench) as quick:
        await won(slow)
        await bench.hand_on()
        await won(quick)
        with pytest.raises(LeaseTaken):
            await slow.announce("stream/1")
        await quick.announce("stream/2")
    async with candidate(bench) as third:
        assert await won(third) == Term(epoch=3, predecessor="stream/2", predecessor_epoch=2)


async def test_a_term_that_was_replaced_does_not_overwrite_what_its_successor_announced(
    bench: Bench,
) -> None:
    async with candidate(bench) as slow, candidate(bench) as quick:
        await won(slow)
        await bench.hand_on()
        await won(quick)
        await quick.announce("stream/2")
        with pytest.raises(LeaseTaken):
            await slow.announce("stream/1")
        await slow.close()
        await quick.close()
        assert await won(slow) == Term(epoch=3, predecessor="stream/2", predecessor_epoch=2)


async def test_who_waits_for_a_lease_that_was_handed_on_is_not_elected_by_the_former_one(
    bench: Bench,
) -> None:
    async with candidate(bench) as quick, candidate(bench) as waiting:
        async with candidate(bench) as slow:
            await won(slow)
            await bench.hand_on()
            assert (await won(quick)).epoch == 2
            winning = asyncio.create_task(waiting.win())
        done, _ = await asyncio.wait({winning}, timeout=0.6)
        assert not done
        await quick.close()
        async with asyncio.timeout(5):
            assert (await winning).epoch == 3


async def test_a_leader_that_nobody_replaced_loses_nothing(bench: Bench) -> None:
    async with candidate(bench) as leader:
        await won(leader)
        lost = asyncio.create_task(leader.lost())
        done, _ = await asyncio.wait({lost}, timeout=bench.lease_seconds + 0.5)
        assert not done
        lost.cancel()


async def test_a_term_that_was_replaced_hears_of_it_where_a_lease_has_to_be_renewed(
    bench: Bench,
) -> None:
    async with candidate(bench) as slow, candidate(bench) as quick:
        await won(slow)
        await bench.hand_on()
        await won(quick)
        lost = asyncio.create_task(slow.lost())
        done, _ = await asyncio.wait({lost}, timeout=4.0 if bench.tells else 0.3)
        assert bool(done) is bench.tells
        if done:
            assert isinstance(lost.exception(), LeaseTaken)
        lost.cancel()


async def test_the_epoch_that_the_journal_knows_and_the_moment_are_handed_on(
    bench: Bench,
) -> None:
    async with candidate(bench) as first:
        assert (await won(first)).announced is None
        before = datetime.now(UTC)
        await first.announce("stream/1", 12)
    for epoch in (13, 14):
        async with candidate(bench) as later:
            term = await won(later)
            assert term == Term(epoch=epoch, predecessor="stream/1", predecessor_epoch=12)
            assert term.announced is not None
            assert before <= term.announced <= datetime.now(UTC)


async def test_a_lock_file_is_for_its_owner_only_and_its_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "for it"
    async with candidate(FolderBench(folder)) as election:
        await won(election)
    assert (folder / "orchestrator.lease").stat().st_mode & 0o077 == 0
