"""What every election keeps: one leader, rising epochs, and the stream that the next one must seal."""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.orchestrator.elections.elections import Election, LeaseTaken, Term
from services.orchestrator.elections.file_election import FileElection

LEADER = """
import asyncio, sys
from pathlib import Path
from services.orchestrator.elections.file_election import FileElection

async def lead() -> None:
    election = FileElection(Path(sys.argv[1]))
    term = await election.win()
    if sys.argv[2]:
        await election.announce(sys.argv[2])
    print(term.epoch, flush=True)
    await asyncio.Event().wait()

asyncio.run(lead())
"""


@contextlib.asynccontextmanager
async def candidate(folder: Path) -> AsyncGenerator[Election]:
    election = FileElection(folder)
    try:
        yield election
    finally:
        await election.close()


@contextlib.asynccontextmanager
async def leading(folder: Path, stream: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Another process that leads, and has announced `stream` unless that is empty."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEADER, str(folder), stream, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert await process.stdout.readline()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def won(election: Election) -> Term:
    async with asyncio.timeout(5):
        return await election.win()


async def test_the_first_leader_has_nobody_before_it(tmp_path: Path) -> None:
    async with candidate(tmp_path / "made" / "for it") as election:
        assert await won(election) == Term(epoch=1)


async def test_a_successor_learns_the_stream_and_the_epoch_that_wrote_it(tmp_path: Path) -> None:
    async with candidate(tmp_path) as first:
        await won(first)
        await first.announce("stream/1")
    async with candidate(tmp_path) as second:
        assert await won(second) == Term(epoch=2, predecessor="stream/1", predecessor_epoch=1)
        await second.announce("stream/2")
    async with candidate(tmp_path) as third:
        assert await won(third) == Term(epoch=3, predecessor="stream/2", predecessor_epoch=2)


async def test_terms_that_announced_nothing_hand_on_the_stream_before_them(tmp_path: Path) -> None:
    async with candidate(tmp_path) as first:
        await won(first)
        await first.announce("stream/1")
    for epoch in (2, 3, 4):
        async with candidate(tmp_path) as election:
            term = await won(election)
        assert term == Term(epoch=epoch, predecessor="stream/1", predecessor_epoch=1)


async def test_a_lease_without_the_epoch_of_its_stream_is_read(tmp_path: Path) -> None:
    lease = {"epoch": 4, "stream": "stream/4"}
    (tmp_path / "orchestrator.lease").write_text(json.dumps(lease))
    async with candidate(tmp_path) as election:
        assert await won(election) == Term(epoch=5, predecessor="stream/4", predecessor_epoch=4)


async def test_a_long_stream_name_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    async with candidate(tmp_path) as election:
        await won(election)
        await election.announce("s" * 1000)
        await election.announce("short")
    async with candidate(tmp_path) as second:
        assert (await won(second)).predecessor == "short"


async def test_nobody_is_elected_while_another_process_leads(tmp_path: Path) -> None:
    async with leading(tmp_path, "stream/1") as process, candidate(tmp_path) as waiting:
        winning = asyncio.create_task(waiting.win())
        done, _ = await asyncio.wait({winning}, timeout=0.6)
        assert not done
        process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(5):
            term = await winning
    assert term == Term(epoch=2, predecessor="stream/1", predecessor_epoch=1)


async def test_a_leader_killed_before_it_announced_leaves_the_stream_of_the_one_before(
    tmp_path: Path,
) -> None:
    for stream in ("stream/1", ""):
        async with leading(tmp_path, stream) as process:
            process.kill()
            await process.wait()
    async with candidate(tmp_path) as election:
        assert await won(election) == Term(epoch=3, predecessor="stream/1", predecessor_epoch=1)


async def test_of_many_candidates_at_once_one_leads_at_a_time(tmp_path: Path) -> None:
    leaders, epochs = 0, []

    async def lead() -> None:
        nonlocal leaders
        async with candidate(tmp_path) as election:
            term = await won(election)
            leaders += 1
            assert leaders == 1
            epochs.append(term.epoch)
            await asyncio.sleep(0.01)
            leaders -= 1

    await asyncio.gather(*(lead() for _ in range(4)))
    assert epochs == [1, 2, 3, 4]


async def test_the_lease_is_for_its_owner_only(tmp_path: Path) -> None:
    async with candidate(tmp_path) as election:
        await won(election)
    assert (tmp_path / "orchestrator.lease").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("times", [1, 2])
async def test_giving_up_may_be_repeated(tmp_path: Path, times: int) -> None:
    election = FileElection(tmp_path)
    await won(election)
    for _ in range(times):
        await election.close()
    async with candidate(tmp_path) as second:
        assert (await won(second)).epoch == 2


async def test_who_stepped_down_may_stand_again(tmp_path: Path) -> None:
    async with candidate(tmp_path) as first, candidate(tmp_path) as second:
        await won(first)
        await first.announce("stream/1")
        await first.close()
        assert await won(second) == Term(epoch=2, predecessor="stream/1", predecessor_epoch=1)
        await second.close()
        assert await won(first) == Term(epoch=3, predecessor="stream/1", predecessor_epoch=1)


def hand_on(folder: Path) -> None:
    """Replace the lease by a copy that nobody has locked, as is done to a leader that hangs."""
    lease = folder / "orchestrator.lease"
    shutil.copy(lease, folder / "copy")
    (folder / "copy").replace(lease)


async def test_a_term_whose_lease_was_handed_on_before_it_announced_does_not_begin(
    tmp_path: Path,
) -> None:
    async with candidate(tmp_path) as slow, candidate(tmp_path) as quick:
        await won(slow)
        hand_on(tmp_path)
        await won(quick)
        with pytest.raises(LeaseTaken):
            await slow.announce("stream/1")
        await quick.announce("stream/2")
    async with candidate(tmp_path) as third:
        assert await won(third) == Term(epoch=3, predecessor="stream/2", predecessor_epoch=2)


async def test_who_waits_for_a_lease_that_was_handed_on_is_not_elected_by_the_former_one(
    tmp_path: Path,
) -> None:
    async with candidate(tmp_path) as quick, candidate(tmp_path) as waiting:
        async with candidate(tmp_path) as slow:
            await won(slow)
            winning = asyncio.create_task(waiting.win())
            await asyncio.sleep(0)
            hand_on(tmp_path)
            assert (await won(quick)).epoch == 2
        done, _ = await asyncio.wait({winning}, timeout=0.6)
        assert not done
        await quick.close()
        async with asyncio.timeout(5):
            assert (await winning).epoch == 3


async def test_the_epoch_that_the_journal_knows_and_the_moment_are_handed_on(
    tmp_path: Path,
) -> None:
    async with candidate(tmp_path) as first:
        assert (await won(first)).announced is None
        before = datetime.now(UTC)
        await first.announce("stream/1", 12)
    for epoch in (13, 14):
        async with candidate(tmp_path) as later:
            term = await won(later)
            assert term == Term(epoch=epoch, predecessor="stream/1", predecessor_epoch=12)
            assert term.announced is not None
            assert before <= term.announced <= datetime.now(UTC)
