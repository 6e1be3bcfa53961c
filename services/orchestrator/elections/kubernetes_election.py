"""The election on Kubernetes: a Lease that is changed by compare-and-swap and renewed while its holder lives."""

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from kubernetes.client.api.coordination_v1_api import CoordinationV1Api
from kubernetes.client.models.v1_lease import V1Lease
from kubernetes.client.models.v1_lease_spec import V1LeaseSpec

from libs.common.errors import ServiceError
from libs.kubernetes.cluster import (
    GONE,
    NOT_FOUND,
    Call,
    Cluster,
    ClusterRefused,
    ClusterUnavailable,
    ObjectStale,
)
from libs.kubernetes.names import ObjectName
from services.orchestrator.elections.elections import (
    Handover,
    LeaseLost,
    LeaseTaken,
    LeaseUnusable,
    Term,
)
from services.orchestrator.elections.expiry import Watched

log = structlog.get_logger()

ANNOTATION: Final = "convergence.dev/term"
SHORTEST_CALL_SECONDS: Final = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How a lease lives, in seconds. A leader gives up before anybody else may win."""

    lease: int = 10
    deadline: float = 7.0
    """How long a leader goes on without a renewal, counted from before its last write."""
    retry: float = 2.0
    """From one renewal, or try of one, to the next."""
    call: float = 2.0
    """How long a call may take; less where the deadline comes first."""
    look: float = 1.0
    """From one look of a candidate to the next."""


class KubernetesElection:
    """A candidate for one Lease, which somebody else has created. `lease` names it and the own pod."""

    def __init__(
        self,
        cluster: Cluster,
        lease: ObjectName,
        *,
        timing: Timing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._api = CoordinationV1Api(cluster.client)
        self._key = {"name": lease.name, "namespace": lease.namespace}
        self._said = str(lease)
        self._pod = lease.pod
        self._timing = timing or Timing()
        self._monotonic = monotonic
        self._watched = Watched()
        self._writing = asyncio.Lock()
        self._holder = ""
        """Who this term, or a win whose answer was lost, is in the lease; empty: nobody."""
        self._handover = Handover()
        self._lease: V1Lease | None = None
        """The version that is replaced next; None where it must be read first."""
        self._renewed = 0.0
        self._keeping: asyncio.Task[None] | None = None
        self._end: LeaseTaken | LeaseLost | None = None
        self._ended = asyncio.Event()

    async def win(self) -> Term:
        assert self._keeping is None, "close comes first"
        while True:
            lease = await self._read()
            left = self._left(lease)
            if left <= 0:
                with contextlib.suppress(ObjectStale):
                    return await self._take(lease)
            await asyncio.sleep(max(0.0, min(left, self._timing.look)))

    def _left(self, lease: V1Lease) -> float:
        """Return the seconds until the lease is free, as far as this candidate has seen."""
        spec = lease.spec or V1LeaseSpec()
        holder = spec.holder_identity or ""
        if not holder or holder.rpartition("_")[0] == self._pod:
            return 0.0
        seconds = spec.lease_duration_seconds or self._timing.lease
        return self._watched.left((holder, spec.renew_time), seconds, self._monotonic())

    async def _take(self, lease: V1Lease) -> Term:
        handover = self._handover = self._known(lease).next()
        self._holder = f"{self._pod}_{secrets.token_hex(4)}"
        began, seconds = self._monotonic(), self._timing.call
        try:
            self._lease = await self._replace(lease, handover, self._holder, seconds, begins=True)
        except ObjectStale:
            self._holder = ""
            raise
        self._renewed = began
        self._end, self._ended = None, asyncio.Event()
        self._keeping = asyncio.create_task(self._keep(), name="lease.renewals")
        return handover.term()

    def _known(self, lease: V1Lease) -> Handover:
        try:
            return Handover.read(_notes(lease).get(ANNOTATION, ""))
        except ValueError as error:
            raise LeaseUnusable(
                self._said,
                f"has an annotation {ANNOTATION} that cannot be read ({error})",
                "take the annotation off while no orchestrator leads; the journal tells the rest",
            ) from error

    async def _keep(self) -> None:
        """Renew until that fails."""
        with contextlib.suppress(LeaseTaken, LeaseLost):
            while True:
                await asyncio.sleep(self._timing.retry)
                await self._write()

    async def announce(self, stream: str, epoch: int = 0) -> None:
        assert self._keeping is not None, "win comes first"
        await self._write(lambda known: known.announcing(stream, epoch, datetime.now(UTC)))

    async def renew(self) -> None:
        """Renew the lease now. Raises LeaseTaken or LeaseLost."""
        await self._write()

    async def lost(self) -> None:
        await self._ended.wait()
        assert self._end is not None
        raise self._end.with_traceback(None)

    async def _write(self, change: Callable[[Handover], Handover] = lambda known: known) -> None:
        """Renew the lease, with what changes; renewals and an announcement take turns here.

        Raises:
            LeaseTaken: another holds it.
            LeaseLost: the deadline has passed. What was not renewed in time is tried once all the same.
        """
        async with self._writing:
            if self._end is not None:
                raise self._end.with_traceback(None)
            handover = change(self._handover)
            try:
                while not await self._written(handover):
                    pass
            except (LeaseTaken, LeaseLost) as error:
                self._end = error
                self._ended.set()
                raise
            self._handover = handover

    async def _written(self, handover: Handover) -> bool:
        """Try once, and wait for the next try if it came to nothing."""
        began = self._monotonic()
        left = self._left_to_renew()
        longest = self._timing.call
        seconds = max(min(left, longest), SHORTEST_CALL_SECONDS) if left > 0 else longest
        try:
            lease = self._lease or await self._own(seconds)
            self._lease = None
            self._lease = await self._replace(lease, handover, self._holder, seconds)
        except ObjectStale:
            return False
        except (ClusterRefused, ClusterUnavailable, LeaseUnusable) as error:
            await self._rest(error)
            return False
        self._renewed = began
        return True

    async def _own(self, seconds: float) -> V1Lease:
        """Read the lease anew: somebody wrote it, or an own write that was not heard of."""
        lease = await self._read(seconds)
        holder = (lease.spec or V1LeaseSpec()).holder_identity or ""
        if holder != self._holder:
            raise LeaseTaken(
                f"lease {self._said} is held by {holder or 'nobody'} and no more by {self._holder}: "
                "this orchestrator ends"
            )
        return lease

    async def _rest(self, error: ServiceError) -> None:
        """Wait until the next try. Raises LeaseLost when there is none."""
        asked = error.retry_after if isinstance(error, ClusterUnavailable) else 0.0
        if (left := self._left_to_renew()) > 0:
            log.warning("lease.unrenewed", reason=error.reason, cause=str(error), left_seconds=left)
            await asyncio.sleep(min(left, max(asked, self._timing.retry)))
        if self._left_to_renew() <= 0:
            raise LeaseLost(
                f"lease {self._said} could not be renewed for {self._timing.deadline:g} s, so "
                f"another may lead: this orchestrator ends; the last try: {error}"
            ) from error

    def _left_to_renew(self) -> float:
        return self._renewed + self._timing.deadline - self._monotonic()

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._holder and self._end is None:
            await self._release()
        self._keeping, self._lease, self._holder = None, None, ""

    async def _release(self) -> None:
        """Let the next candidate win at its next look; it waits until the lease is over if this fails."""
        seconds = self._timing.call
        try:
            async with asyncio.timeout(seconds), self._writing:
                while True:
                    lease, self._lease = self._lease or await self._own(seconds), None
                    with contextlib.suppress(ObjectStale):
                        await self._replace(lease, self._handover, "", seconds)
                        return
        except (ServiceError, TimeoutError) as error:
            log.warning("lease.unreleased", lease=self._said, cause=str(error))

    async def _read(self, seconds: float = 0.0) -> V1Lease:
        """Return the lease as it is. Raises LeaseUnusable, ClusterRefused, ClusterUnavailable."""
        method = self._api.read_namespaced_lease
        try:
            return await self._cluster.call(self._call("get", seconds), method, **self._key)
        except ClusterRefused as error:
            raise self._missing(error) from error

    async def _replace(
        self,
        lease: V1Lease,
        handover: Handover,
        holder: str,
        seconds: float,
        *,
        begins: bool = False,
    ) -> V1Lease:
        """Replace the version that was read. Raises ObjectStale, and as `_read`."""
        now, old = datetime.now(UTC), lease.spec or V1LeaseSpec()
        lease.spec = V1LeaseSpec(
            holder_identity=holder or None,
            lease_duration_seconds=self._timing.lease,
            acquire_time=now if begins else old.acquire_time,
            renew_time=now,
            lease_transitions=(old.lease_transitions or 0) + begins,
        )
        assert lease.metadata is not None
        lease.metadata.annotations = {**_notes(lease), ANNOTATION: handover.text()}
        call, method = self._call("update", seconds), self._api.replace_namespaced_lease
        try:
            return await self._cluster.call(call, method, **self._key, body=lease)
        except ClusterRefused as error:
            raise self._missing(error) from error

    def _call(self, verb: str, seconds: float) -> Call:
        return Call(
            asked=f"{verb} lease {self._said}",
            right=f"{verb} leases.coordination.k8s.io named {self._key['name']}",
            seconds=seconds or self._timing.call,
        )

    def _missing(self, error: ClusterRefused) -> ServiceError:
        if error.status not in {NOT_FOUND, GONE}:
            return error
        todo = "`helm upgrade` creates it; it needs no content"
        return LeaseUnusable(self._said, "does not exist", todo)


def _notes(lease: V1Lease) -> dict[str, str]:
    return (lease.metadata and lease.metadata.annotations) or {}
