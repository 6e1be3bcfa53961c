"""Proof 4: fifty disturbances in ten minutes of steady load, and nothing lost, doubled or refused."""

import asyncio
import itertools
import os
import pathlib
import time
from collections.abc import Iterator

import pytest

from libs.client import AsyncClient
from libs.common import errors
from tests.cluster import campaign, figures, release, volume
from tests.cluster.leaders import LABEL, Leaders
from tests.faults import check, histories
from tests.faults.campaign import a_few
from tests.faults.histories import Entry

MINUTES = float(os.environ.get("MINUTES", "10"))
COUNT = max(4, round(5 * MINUTES))
SEED = os.environ.get("SEED", "1")
SCALE = float(os.environ.get("SCALE", "1"))
ASTRAY_SECONDS = 16.0
"""Until the leader has looked for its label, and a connection to another has its age."""
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "build/cluster/campaign"


@pytest.fixture(scope="module")
def mesh() -> Iterator[release.Release]:
    release.make_namespace()
    folder = volume.make()
    volume.give(folder)
    more = {"auth": {"replicas": 2}, "quality": {"replicas": 2}}
    values = volume.values()
    values["services"].update(more)
    with release.installed(values=values) as made:
        yield made
    volume.remove()


def test_who_was_led_to_a_standby_comes_back_to_the_leader(mesh: release.Release) -> None:
    with Leaders(mesh.namespace) as leaders:
        seconds = asyncio.run(led_astray(mesh, leaders))
    assert seconds <= ASTRAY_SECONDS


async def led_astray(mesh: release.Release, leaders: Leaders) -> float:
    """Let the label stand on the wrong pod until a caller has come there; return for how long it stayed."""
    async with AsyncClient(mesh.edge, mesh.key, call_seconds=campaign.CALL_SECONDS) as client:
        while await answered(client):
            await campaign.led(leaders, campaign.LEADER_SECONDS)
            (leader,) = leaders.now
            (standby,) = {one["metadata"]["name"] for one in mesh.pods("orchestrator")} - {leader}
            label = ("label", "pod", "--overwrite")
            await asyncio.to_thread(mesh.kubectl, *label, standby, f"{LABEL}=active")
            await asyncio.to_thread(mesh.kubectl, *label, leader, f"{LABEL}-")
            moved = time.monotonic()
            while await answered(client) and time.monotonic() - moved < ASTRAY_SECONDS:
                await asyncio.sleep(0.1)
        began = time.monotonic()
        while not await answered(client) and time.monotonic() - began <= ASTRAY_SECONDS:
            await asyncio.sleep(0.1)
    return time.monotonic() - began


async def answered(client: AsyncClient) -> bool:
    """Return whether a call is answered by one that leads."""
    try:
        await client.runs.list("tenants/nobody")
    except errors.Unavailable as error:
        if error.reason != "NOT_ACTIVE":
            raise
        return False
    except errors.NotFound:
        pass
    return True


@pytest.mark.timeout(MINUTES * 60 + 1200)
def test_nothing_is_lost_doubled_or_refused(mesh: release.Release) -> None:
    plan = campaign.Plan(
        folder=FOLDER,
        seed=SEED,
        seconds=60 * MINUTES,
        count=COUNT,
        pipelines=a_few(),
        scale=SCALE,
    )
    with Leaders(mesh.namespace) as leaders:
        asyncio.run(campaign.conduct(plan, mesh, leaders, campaign.disturb))
    entries = list(histories.read(FOLDER))
    assert check.report(FOLDER) == 0
    assert leaders.two() == []
    assert len(leaders.changes) > 2, "the orchestrator never changed"
    assert [e for e in entries if e["kind"] == "disturbed"][COUNT - 1 :]
    assert late(entries) == []
    figures.note(figures.DISTURBED, COUNT, "")
    figures.note(figures.LEADERLESS, longest(leaders), "s")


def late(entries: list[Entry]) -> list[tuple[str, str, float]]:
    """Return calls that failed for a client that repeats them for `CALL_SECONDS`: turn, operation, seconds.

    The time is from the first try to the answer, the refusals between included.
    """
    first: dict[tuple[str, str], float] = {}
    found = []
    for e in entries:
        if e["kind"] == "asked":
            first.setdefault((e["turn"], e["op"]), e["t"])
        elif e["kind"] == "answered" or (e["kind"] == "refused" and e["how"] != "Unavailable"):
            seconds = e["t"] - first.pop((e["turn"], e["op"]), e["t"])
            if seconds > campaign.CALL_SECONDS:
                found.append((e["turn"], e["op"], seconds))
    return found + [(turn, op, float("inf")) for turn, op in first]


def longest(leaders: Leaders) -> float:
    """Return for how long nobody was labelled, after the first one was."""
    pairs = itertools.pairwise(leaders.changes[1:])
    return max((b.at - a.at for a, b in pairs if not a.labelled), default=0.0)
