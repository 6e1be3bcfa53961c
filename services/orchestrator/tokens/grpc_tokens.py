"""The auth service as the orchestrator sees it: callers at the edge, tokens of runs."""

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Final

import grpc
from convergence.auth.v1 import auth_service_pb2, auth_service_pb2_grpc

from libs.common.channel import translated
from libs.common.errors import (
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from libs.common.identity import CredentialMissing, Principal
from libs.common.names import PipelineName, RunName
from libs.common.peers import FORWARDED, Network, address_of
from services.orchestrator.runs.records import Share
from services.orchestrator.schedules.tenants import Standing

CALL_SECONDS: Final = 5.0
LONGEST_CACHE_SECONDS: Final = 20.0
FAILURE_CACHE_SECONDS: Final = 2.0
LARGEST_CACHE: Final = 10_000
LONGEST_KEY: Final = 256

MAY_START_NOTHING: Final = frozenset({"TENANT_SUSPENDED", "TENANT_DELETED", "TENANT_NOT_FOUND"})


class AuthUnavailable(Unavailable):
    """auth cannot be asked: nothing is known about a key, and no run gets a token."""

    reason = "AUTH_UNAVAILABLE"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    principal: Principal | None
    refusal: ServiceError | None
    until: float


class EdgeAuthenticator:
    """From `x-api-key` to a principal, by Authenticate, answers kept for some seconds.

    `trusted` are the networks of proxies whose `x-forwarded-for` says whom failures count against.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        trusted: Sequence[Network],
        monotonic: Callable[[], float],
    ) -> None:
        self._stub = auth_service_pb2_grpc.AuthServiceStub(channel)
        self._trusted = trusted
        self._monotonic = monotonic
        self._answers: OrderedDict[str, _Answer] = OrderedDict()

    async def authenticate(self, metadata: Mapping[str, str], peer: str) -> Principal:
        """Return whom the key of a call stands for.

        Raises:
            CredentialMissing: no key came.
            Unauthenticated, PermissionDenied, QuotaExceeded: as auth said.
            AuthUnavailable: nobody could say.
        """
        key = metadata.get("x-api-key", "")
        if not key:
            raise CredentialMissing("the call carries no API key; send it as metadata `x-api-key`")
        answer = self._answers.get(key)
        if answer is None or answer.until <= self._monotonic():
            address = address_of(peer, metadata.get(FORWARDED, ""), self._trusted)
            answer = await self._ask(key, address)
            self._answers[key] = answer
            if len(self._answers) > LARGEST_CACHE:
                self._answers.popitem(last=False)
        if answer.refusal is not None:
            raise answer.refusal.with_traceback(None)
        assert answer.principal is not None
        return answer.principal

    async def _ask(self, key: str, address: str) -> _Answer:
        request = auth_service_pb2.AuthenticateRequest(
            api_key=key[: LONGEST_KEY + 1], audience="orchestrator", peer=address
        )
        now = self._monotonic()
        try:
            with translated():
                response = await self._stub.Authenticate(request, timeout=CALL_SECONDS)
        except Unauthenticated as refusal:
            until = now + FAILURE_CACHE_SECONDS
            return _Answer(principal=None, refusal=refusal, until=until)
        except Unavailable as error:
            text = "the auth service cannot be asked now; nothing is known about the key"
            raise AuthUnavailable(text, retry_after=error.retry_after) from error
        ttl = response.cache_ttl.ToNanoseconds() / 1e9
        return _Answer(
            principal=_principal(response),
            refusal=None,
            until=now + min(ttl, LONGEST_CACHE_SECONDS),
        )


def _principal(response: auth_service_pb2.AuthenticateResponse) -> Principal:
    principal = response.principal
    ends = response.HasField("key_expire_time")
    return Principal(
        tenant=principal.tenant,
        scopes=frozenset(principal.scopes),
        key_id=principal.key_id,
        calls_per_second=principal.calls_per_second,
        call_burst=principal.call_burst,
        live_run_count=principal.live_run_count,
        slot_weight=principal.slot_weight,
        chunk_count=principal.chunk_count,
        read_bytes_per_day=principal.read_bytes_per_day,
        key_expire_time=response.key_expire_time.ToDatetime(tzinfo=UTC) if ends else None,
    )


class RunTokens:
    """Tokens bound to runs, asked for with the orchestrator's own credential, renewed at half life.

    A pipeline that has no run yet (validate, plan) gets the token of its run `plan`.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        credential: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self._stub = auth_service_pb2_grpc.AuthServiceStub(channel)
        self._credential = credential
        self._clock = clock
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._shares: dict[str, Share] = {}

    def share(self, tenant: str) -> Share | None:
        """Return what a tenant may have, as auth said with the newest token of a run; None before."""
        return self._shares.get(tenant)

    async def metadata(self, name: PipelineName | RunName) -> tuple[tuple[str, str], ...]:
        run = str(name.run("plan") if isinstance(name, PipelineName) else name)
        token, renew = self._tokens.get(run, ("", 0.0))
        if renew <= self._clock():
            token, renew = await self._issue(run)
            self._tokens[run] = token, renew
            if len(self._tokens) > LARGEST_CACHE:
                self._tokens.popitem(last=False)
        return (("authorization", f"Bearer {token}"),)

    async def standing(self, tenant: str) -> Standing:
        """Return what a tenant may start, asked anew each time. Raises a ServiceError as auth does."""
        try:
            response = await self._ask(f"tenants/{tenant}/pipelines/schedules/runs/standing")
        except (PermissionDenied, FailedPrecondition, NotFound) as error:
            if error.reason in MAY_START_NOTHING:
                return Standing(refusal=str(error))
            raise
        return Standing(share=Share.of(response.limits) if response.HasField("limits") else None)

    async def _issue(self, run: str) -> tuple[str, float]:
        response = await self._ask(run)
        now = self._clock()
        expire = response.expire_time.ToNanoseconds() / 1e9
        return response.identity_token, now + (expire - now) / 2

    async def _ask(self, run: str) -> auth_service_pb2.IssueRunTokenResponse:
        request = auth_service_pb2.IssueRunTokenRequest(run=run, audiences=["ingest", "quality"])
        metadata = (("authorization", f"Bearer {self._credential()}"),)
        try:
            with translated():
                response = await self._stub.IssueRunToken(
                    request, metadata=metadata, timeout=CALL_SECONDS
                )
        except Unavailable as error:
            text = f"the auth service cannot be asked for the token of {run} now: {error}"
            raise AuthUnavailable(text, retry_after=error.retry_after) from error
        if response.HasField("limits"):
            self._shares[RunName.parse(run).tenant] = Share.of(response.limits)
        return response
