"""What the Lease on Kubernetes keeps beyond the contract: clocks, and whatever the API server says."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from kubernetes.client.configuration import Configuration

from libs.kubernetes.cluster import Cluster, ClusterRefused, ClusterUnavailable
from libs.kubernetes.names import ObjectName
from services.orchestrator.elections.elections import (
    LeaseLost,
    LeaseTaken,
    LeaseUnusable,
    Term,
)
from services.orchestrator.elections.kubernetes_election import (
    ANNOTATION,
    KubernetesElection,
    Timing,
)
from tests.support.kube_api import KubeApi, Mishap, Refusal, kube_api

TIMING = Timing(lease=10, deadline=7.0, retry=0.02, call=5.0, look=0.01)
"""Lease and deadline are counted by a clock that stands still until a test moves it."""


@dataclasses.dataclass(slots=True)
class Clock:
    """A monotonic clock that is moved by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclasses.dataclass(slots=True)
class Place:
    """A lease at a small API server, and who stands for it."""

    api: KubeApi
    cluster: Cluster
    stack: contextlib.AsyncExitStack
    clock: Clock = dataclasses.field(default_factory=Clock)

    def candidate(self, pod: str = "a", **timing: Any) -> KubernetesElection:
        lease = ObjectName(namespace="mesh", name="orchestrator", pod=pod)
        election = KubernetesElection(
            self.cluster,
            lease,
            timing=dataclasses.replace(TIMING, **timing),
            monotonic=self.clock,
        )
        self.stack.push_async_callback(election.close)
        return election

    @property
    def lease(self) -> dict[str, Any]:
        return self.api.objects["leases", "mesh", "orchestrator"]

    async def edit(self, **content: Any) -> None:
        await self.api.put("leases", "mesh", "orchestrator", **{**self.lease, **content})

    async def renewals(self, count: int) -> None:
        """Wait for so many more requests that replace the lease."""
        wanted = self._puts() + count
        async with asyncio.timeout(10):
            while self._puts() < wanted:
                await asyncio.sleep(0.005)

    def _puts(self) -> int:
        return sum(asked.startswith("PUT") for asked in self.api.asked)


@pytest_asyncio.fixture
async def place() -> AsyncGenerator[Place]:
    async with kube_api() as api, contextlib.AsyncExitStack() as stack:
        await api.put("leases", "mesh", "orchestrator")
        cluster = Cluster(Configuration(host=api.address))
        stack.callback(cluster.close)
        yield Place(api, cluster, stack)
        api.always = None
        api.next_answers.clear()


async def won(election: KubernetesElection) -> Term:
    async with asyncio.timeout(10):
        return await election.win()


async def lost(election: KubernetesElection) -> Exception:
    with pytest.raises((LeaseTaken, LeaseLost)) as ended:
        async with asyncio.timeout(10):
            await election.lost()
    return ended.value


HELD = {"holderIdentity": "b_1", "leaseDurationSeconds": 10, "leaseTransitions": 3}
LONG_AGO, FAR_AHEAD = "2001-01-01T00:00:00.000000Z", "2101-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("moment", [LONG_AGO, FAR_AHEAD])
async def test_a_lease_is_over_when_its_own_clock_has_seen_no_change_for_its_duration(
    place: Place, moment: str
) -> None:
    await place.edit(spec={**HELD, "renewTime": moment})
    winning = asyncio.create_task(place.candidate().win())
    for _ in range(2):
        place.clock.now += 9.5
        await asyncio.sleep(0.1)
        assert not winning.done()
        await place.edit(spec={**place.lease["spec"], "renewTime": "2026-11-26T10:00:00.000000Z"})
        await asyncio.sleep(0.1)
        await place.edit(spec={**place.lease["spec"], "renewTime": moment})
        await asyncio.sleep(0.1)
    place.clock.now += 9.9
    await asyncio.sleep(0.1)
    assert not winning.done()
    place.clock.now += 0.2
    async with asyncio.timeout(5):
        assert (await winning).epoch == 1
    assert place.lease["spec"]["leaseTransitions"] == 4


async def test_what_somebody_else_writes_into_a_lease_renews_nothing(place: Place) -> None:
    await place.edit(spec={**HELD, "renewTime": LONG_AGO})
    winning = asyncio.create_task(place.candidate().win())
    await asyncio.sleep(0.1)
    place.clock.now += 9.0
    await place.edit(metadata={"labels": {"seen": "yes"}})
    await asyncio.sleep(0.1)
    place.clock.now += 1.1
    async with asyncio.timeout(5):
        await winning
    assert place.lease["metadata"]["labels"] == {"seen": "yes"}


async def test_a_lease_lasts_as_long_as_its_holder_says(place: Place) -> None:
    await place.edit(spec={**HELD, "leaseDurationSeconds": 60})
    winning = asyncio.create_task(place.candidate().win())
    await asyncio.sleep(0.1)
    place.clock.now += 59.0
    await asyncio.sleep(0.1)
    assert not winning.done()
    place.clock.now += 1.1
    async with asyncio.timeout(5):
        await winning


async def test_a_process_that_is_started_again_in_its_pod_does_not_wait_for_itself(
    place: Place,
) -> None:
    await place.edit(spec={**HELD, "holderIdentity": "a_0123abcd"})
    assert (await won(place.candidate("a"))).epoch == 1
    assert place.lease["spec"]["holderIdentity"] != "a_0123abcd"


async def test_a_holder_that_is_no_pod_is_waited_for(place: Place) -> None:
    await place.edit(spec={**HELD, "holderIdentity": "somebody"})
    winning = asyncio.create_task(place.candidate().win())
    done, _ = await asyncio.wait({winning}, timeout=0.2)
    assert not done
    winning.cancel()


NOT_NOW = [
    *(pytest.param(Refusal(code=code), id=str(code)) for code in (429, 500, 503)),
    pytest.param(Mishap.DROP, id="drop"),
    pytest.param(Mishap.LOSE, id="lose"),
]
REFUSED = [pytest.param(Refusal(code=code), id=str(code)) for code in (400, 401, 403, 422)]
ABSENT = [pytest.param(Refusal(code=code), id=str(code)) for code in (404, 410)]


@pytest.mark.parametrize("answer", NOT_NOW)
async def test_a_candidate_says_that_the_api_server_cannot_be_asked(
    place: Place, answer: Refusal | Mishap
) -> None:
    election = place.candidate()
    place.api.next_answers = [answer]
    with pytest.raises(ClusterUnavailable, match="API server of Kubernetes at http") as refused:
        await won(election)
    assert refused.value.reason == "CLUSTER_UNAVAILABLE"
    assert (await won(election)).epoch == 1


async def test_a_candidate_is_asked_to_wait_as_long_as_the_api_server_says(place: Place) -> None:
    place.api.next_answers = [Refusal(code=429, retry_after=5)]
    with pytest.raises(ClusterUnavailable) as refused:
        await won(place.candidate())
    assert refused.value.retry_after == 5.0


async def test_an_api_server_that_says_nothing_is_not_waited_for(place: Place) -> None:
    place.api.next_answers = [Mishap.HANG]
    with pytest.raises(ClusterUnavailable, match=r"no answer in 0.2 s|TimeoutError"):
        await won(place.candidate(call=0.2))


@pytest.mark.parametrize("answer", REFUSED)
@pytest.mark.parametrize("verb", ["get", "update"])
async def test_a_candidate_says_what_it_is_refused_and_stands_again(
    place: Place, answer: Refusal, verb: str
) -> None:
    election = place.candidate()
    if verb == "get":
        place.api.next_answers = [answer]
    else:
        place.api.next_writes = [answer]
    with pytest.raises(ClusterRefused) as refused:
        await won(election)
    assert refused.value.metadata == {
        "asked": f"{verb} lease mesh/orchestrator", "status": str(answer.code),
    }  # fmt: skip
    assert (await won(election)).epoch == 1


async def test_a_right_that_is_missing_is_named(place: Place) -> None:
    place.api.next_answers = [Refusal(code=403, message="forbidden: no")]
    with pytest.raises(ClusterRefused) as refused:
        await won(place.candidate())
    assert str(refused.value) == (
        "Kubernetes refused to get lease mesh/orchestrator (403): let the Role of its service "
        "account get leases.coordination.k8s.io named orchestrator; the server said: forbidden: no"
    )
    assert refused.value.metadata == {"asked": "get lease mesh/orchestrator", "status": "403"}


@pytest.mark.parametrize("answer", ABSENT)
async def test_a_lease_that_is_missing_is_an_error_that_says_what_creates_it(
    place: Place, answer: Refusal
) -> None:
    election = place.candidate()
    place.api.next_answers = [answer]
    with pytest.raises(LeaseUnusable) as refused:
        await won(election)
    assert str(refused.value) == (
        "lease mesh/orchestrator does not exist: `helm upgrade` creates it; it needs no content"
    )
    assert refused.value.metadata == {"lease": "mesh/orchestrator"}
    assert (await won(election)).epoch == 1


async def test_a_candidate_that_was_too_late_reads_again(place: Place) -> None:
    election = place.candidate()
    place.api.next_writes = [Refusal(code=409)]
    assert (await won(election)).epoch == 1
    assert [asked.split()[0] for asked in place.api.asked[:4]] == ["GET", "PUT", "GET", "PUT"]


async def test_a_win_whose_answer_was_lost_is_won_anew(place: Place) -> None:
    election = place.candidate()
    place.api.next_writes = [Mishap.LOSE]
    with pytest.raises(ClusterUnavailable):
        await won(election)
    assert place.lease["spec"]["holderIdentity"].startswith("a_")
    assert (await won(election)).epoch == 2


async def test_a_win_whose_answer_was_lost_is_given_back_by_who_gives_up(place: Place) -> None:
    election = place.candidate()
    place.api.next_writes = [Mishap.LOSE]
    with pytest.raises(ClusterUnavailable):
        await won(election)
    await election.close()
    assert (await won(place.candidate("b"))).epoch == 2


@pytest.mark.parametrize(
    "answer", [*NOT_NOW, *REFUSED, *ABSENT, pytest.param(Refusal(code=409), id="409")]
)
async def test_a_leader_tries_again_whatever_a_renewal_met(
    place: Place, answer: Refusal | Mishap
) -> None:
    leader = place.candidate()
    await won(leader)
    place.clock.now += 6.0
    place.api.next_answers = [answer, answer]
    await place.renewals(2)
    while place.api.next_answers:
        await asyncio.sleep(0.005)
    await place.renewals(2)
    place.clock.now += 6.0
    await place.renewals(2)
    await leader.announce("stream/1")


@pytest.mark.parametrize("answer", [*NOT_NOW, *REFUSED, *ABSENT])
async def test_a_leader_that_cannot_renew_ends_at_its_deadline_and_says_why(
    place: Place, answer: Refusal | Mishap
) -> None:
    leader = place.candidate()
    await won(leader)
    place.api.always = answer if answer is not Mishap.LOSE else Mishap.DROP
    ending = asyncio.create_task(lost(leader))
    place.clock.now += 6.9
    await asyncio.sleep(0.3)
    assert not ending.done()
    place.clock.now += 0.2
    error = await ending
    assert isinstance(error, LeaseLost)
    assert "could not be renewed for 7 s" in str(error)
    assert "mesh/orchestrator" in str(error).partition("the last try: ")[2]


async def test_a_leader_whose_announcement_cannot_be_written_ends_at_its_deadline(
    place: Place,
) -> None:
    leader = place.candidate()
    await won(leader)
    place.api.always = Refusal(code=500)
    announcing = asyncio.create_task(leader.announce("stream/1"))
    await asyncio.sleep(0.2)
    assert not announcing.done()
    place.clock.now += 7.1
    with pytest.raises(LeaseLost):
        await announcing
    assert isinstance(await lost(leader), LeaseLost)


async def test_a_call_of_a_leader_takes_no_longer_than_what_is_left(place: Place) -> None:
    leader = place.candidate(call=30.0)
    await won(leader)
    place.api.always = Mishap.HANG
    place.clock.now += 6.8
    ending = asyncio.create_task(lost(leader))
    await asyncio.sleep(0.3)
    place.clock.now += 0.3
    assert isinstance(await ending, LeaseLost)


async def test_the_deadline_counts_from_before_a_write_and_not_from_its_answer(
    place: Place,
) -> None:
    leader = place.candidate()
    await won(leader)
    place.api.gate = asyncio.Event()
    await place.renewals(1)
    place.clock.now += 5.0
    place.api.always = Refusal(code=500)
    place.api.gate.set()
    ending = asyncio.create_task(lost(leader))
    await asyncio.sleep(0.2)
    assert not ending.done()
    place.clock.now += 2.1
    assert isinstance(await ending, LeaseLost)


async def test_a_leader_that_was_stopped_for_minutes_goes_on_if_nobody_took_its_lease(
    place: Place,
) -> None:
    leader = place.candidate(retry=0.2)
    await won(leader)
    place.clock.now += 300.0
    await place.renewals(2)
    await leader.announce("stream/1")


async def test_a_leader_that_was_stopped_for_minutes_ends_if_another_leads(place: Place) -> None:
    leader = place.candidate(retry=0.3)
    await won(leader)
    place.clock.now += 300.0
    await place.edit(spec=HELD)
    error = await lost(leader)
    assert isinstance(error, LeaseTaken)
    assert "is held by b_1 and no more by a_" in str(error)


async def test_a_leader_that_was_stopped_for_minutes_tries_once_and_no_more(place: Place) -> None:
    leader = place.candidate(retry=0.3)
    await won(leader)
    place.clock.now += 300.0
    place.api.always = Refusal(code=500)
    tried = len(place.api.asked)
    assert isinstance(await lost(leader), LeaseLost)
    assert len(place.api.asked) == tried + 1


async def test_what_others_wrote_into_the_lease_stays_and_costs_no_term(place: Place) -> None:
    leader = place.candidate()
    await won(leader)
    metadata = place.lease["metadata"]
    notes = {**metadata["annotations"], "seen-by": "somebody"}
    await place.edit(metadata={**metadata, "annotations": notes})
    await leader.announce("stream/1")
    await place.renewals(1)
    assert place.lease["metadata"]["annotations"]["seen-by"] == "somebody"
    assert '"stream/1"' in place.lease["metadata"]["annotations"][ANNOTATION]


async def test_a_note_that_was_taken_off_under_a_leader_is_written_again(place: Place) -> None:
    leader = place.candidate()
    await won(leader)
    await leader.announce("stream/1", 7)
    await place.edit(metadata={})
    await place.renewals(2)
    await leader.close()
    successor = await won(place.candidate("b"))
    assert successor == Term(epoch=8, predecessor="stream/1", predecessor_epoch=7)


async def test_an_announcement_whose_answer_was_lost_is_made_once(place: Place) -> None:
    leader = place.candidate(retry=0.5)
    await won(leader)
    place.api.next_answers = [Mishap.LOSE]
    await leader.announce("stream/1")
    await leader.close()
    assert (await won(place.candidate("b"))).predecessor == "stream/1"


async def test_a_lease_that_was_made_anew_under_a_leader_ends_it(place: Place) -> None:
    leader = place.candidate()
    await won(leader)
    await place.api.delete("leases", "mesh", "orchestrator")
    await place.api.put("leases", "mesh", "orchestrator")
    assert "is held by nobody" in str(await lost(leader))
    assert "holderIdentity" not in place.lease.get("spec", {})


async def test_who_gives_up_takes_itself_out_and_leaves_the_stream(place: Place) -> None:
    leader = place.candidate()
    await won(leader)
    await leader.announce("stream/1")
    await leader.close()
    assert "holderIdentity" not in place.lease["spec"]
    assert '"stream/1"' in place.lease["metadata"]["annotations"][ANNOTATION]


async def test_who_gives_up_after_another_took_over_leaves_that_one_alone(place: Place) -> None:
    leader = place.candidate(retry=30.0)
    await won(leader)
    await place.edit(spec=HELD)
    await leader.close()
    assert place.lease["spec"] == HELD


async def test_who_gives_up_reads_again_when_somebody_wrote(place: Place) -> None:
    leader = place.candidate(retry=30.0)
    await won(leader)
    await place.edit(spec={**place.lease["spec"], "leaseTransitions": 9})
    await leader.close()
    assert "holderIdentity" not in place.lease["spec"]


async def test_who_gives_up_does_not_wait_for_an_api_server_that_is_away(place: Place) -> None:
    leader = place.candidate(retry=30.0, call=0.2)
    await won(leader)
    place.api.always = Mishap.HANG
    async with asyncio.timeout(3):
        await leader.close()
