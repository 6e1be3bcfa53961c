"""Says whom a key stands for, from memory, and signs what the mesh believes."""

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Protocol

import structlog

from libs.common.errors import ServiceError, Unauthenticated, Unavailable
from libs.common.names import PLATFORM, RunName
from services.auth.directory import AuthUnavailable, Directory
from services.auth.failures import Failures
from services.auth.keys import ApiKeyUnknown, KeyRecord, digest_of, refuse_unless_active
from services.auth.signing_keys import SigningKeys
from services.auth.tenants import Limits, Tenant, TenantNotFound, refuse_confusable
from services.auth.tokens import Reach, Signer, Token

TOKEN_REUSED_SECONDS: Final = 60.0
TOKENS_KEPT: Final = 20_000
USES_WRITTEN_SECONDS: Final = 180.0
RUN_SCOPES: Final = ("runs:read", "runs:write")
"""What a run's own token may do inside the mesh."""

log = structlog.get_logger(__name__)


class Metrics(Protocol):
    """What is counted about authentication."""

    def authenticated(self, outcome: str) -> None:
        """Count one call by reason, `OK` for a success."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A good key and its tenant, None for a platform key."""

    key: KeyRecord
    tenant: Tenant | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An answer: who calls, a token that says so, and how long both may be kept."""

    caller: Caller
    token: Token
    cache_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunToken:
    """A token bound to a run, and what its tenant may use."""

    token: Token
    limits: Limits


class Authentication:
    """Answers from the directory; no call that succeeds waits for I/O, but the first of a new key."""

    def __init__(
        self,
        directory: Directory,
        signing_keys: SigningKeys,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        has_folder: Callable[[str], bool],
        failures: Failures | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._directory = directory
        self._signing_keys = signing_keys
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._has_folder = has_folder
        self._failures = failures or Failures()
        self._sleep = sleep
        self._tokens: OrderedDict[tuple[object, ...], tuple[Token, float]] = OrderedDict()
        self._uses: dict[str, datetime] = {}

    async def identify(self, api_key: str, *, audience: str, peer: str) -> Identity:
        """Return who calls with `api_key`, and a token for `audience`.

        Raises:
            Unauthenticated: malformed, unknown, expired or revoked.
            PermissionDenied, NotFound, AlreadyExists, FailedPrecondition: about the key's tenant.
            QuotaExceeded: AUTHENTICATION_THROTTLED, `peer` failed too often.
            AuthUnavailable: nothing is known about the key.
        """
        signer = await self._signing_keys.ready()
        caller = await self.call(api_key, peer=peer)
        token = self._token(signer, caller.key, audience)
        cache_seconds = self._directory.cache_seconds
        if caller.key.expire_time is not None:
            left = (caller.key.expire_time - self._now()).total_seconds()
            cache_seconds = max(0.0, min(cache_seconds, left))
        return Identity(caller=caller, token=token, cache_seconds=cache_seconds)

    async def call(self, api_key: str, *, peer: str) -> Caller:
        """Return whose key `api_key` is; fails as `identify` does."""
        try:
            caller = await self._call(api_key, peer)
        except ServiceError as error:
            self._metrics.authenticated(error.reason)
            raise
        self._metrics.authenticated("OK")
        return caller

    async def run_token(self, run: RunName, audiences: frozenset[str]) -> RunToken:
        """Return a token bound to `run`, if its tenant is active.

        Raises:
            PermissionDenied, FailedPrecondition: the tenant is suspended or deleted.
            NotFound: TENANT_NOT_FOUND.
            AuthUnavailable: nothing is known about the tenant.
        """
        signer = await self._signing_keys.ready()
        snapshot = await self._directory.ready()
        tenant = snapshot.tenants.get(run.tenant)
        if tenant is None:
            tenant = (await self._directory.reread()).tenants.get(run.tenant)
        if tenant is None:
            raise TenantNotFound(run.tenant)
        tenant.refuse_unless_active()
        token = signer.sign(
            tenant=run.tenant,
            audiences=audiences,
            scopes=RUN_SCOPES,
            now=self._now(),
            run=str(run),
            reach=Reach(
                service_account=tenant.service_account, source_prefixes=tenant.source_prefixes
            ),
        )
        return RunToken(token=token, limits=tenant.limits)

    async def signer(self) -> Signer:
        """Return the signer; fails as SigningKeys.ready does."""
        return await self._signing_keys.ready()

    async def _call(self, api_key: str, peer: str) -> Caller:
        await self._directory.ready()
        try:
            digest = digest_of(api_key)
            key = self._directory.current().keys.get(digest)
            if key is not None:
                refuse_unless_active(key, self._now())
        except Unauthenticated:
            self._failures.admit(peer, self._clock())
            raise
        key = key or await self._look_again(digest, peer)
        refuse_unless_active(key, self._now())
        tenant = await self._tenant_of(key)
        self._uses[digest] = self._now()
        return Caller(key=key, tenant=tenant)

    async def _look_again(self, digest: str, peer: str) -> KeyRecord:
        self._failures.admit(peer, self._clock())
        if not self._failures.lately_unknown(digest, self._clock()):
            if key := (await self._directory.reread()).keys.get(digest):
                return key
            self._failures.note_unknown(digest, self._clock())
        raise ApiKeyUnknown

    async def _tenant_of(self, key: KeyRecord) -> Tenant | None:
        if key.tenant == PLATFORM:
            return None
        tenant = self._directory.current().tenants.get(key.tenant)
        if tenant is None:
            tenant = await self._first_use(key.tenant)
        tenant.refuse_unless_active()
        return tenant

    async def _first_use(self, tenant_id: str) -> Tenant:
        """Give the tenant of a row made by hand its default row, if it has a config folder."""
        if not self._has_folder(tenant_id):
            raise TenantNotFound(
                tenant_id, "create it with `convergence tenants create`, or give it a config folder"
            )
        refuse_confusable(tenant_id, self._directory.current().tenants)
        now = self._now()
        fresh = Tenant(tenant_id=tenant_id, create_time=now, update_time=now)
        try:
            tenant = await self._directory.add_tenant(fresh)
        except Unavailable as error:
            raise AuthUnavailable(
                f"tenant {tenant_id} cannot be registered now: {error}"
            ) from error
        log.info("tenant.registered", tenant_id=tenant_id)
        return tenant

    def _token(self, signer: Signer, key: KeyRecord, audience: str) -> Token:
        slot = (signer.key_id, key.digest, key.scopes, key.expire_time, audience)
        now = self._clock()
        token, signed_at = self._tokens.get(slot, (None, 0.0))
        if token is not None and now - signed_at < TOKEN_REUSED_SECONDS:
            return token
        token = signer.sign(
            tenant=key.tenant,
            audiences=(audience,),
            scopes=key.scopes,
            now=self._now(),
            key_id=key.key_id,
            not_after=key.expire_time,
        )
        self._tokens[slot] = (token, now)
        self._tokens.move_to_end(slot)
        if len(self._tokens) > TOKENS_KEPT:
            self._tokens.popitem(last=False)
        return token

    async def write_uses(self) -> None:
        """Write when keys were last used; what cannot be written now is written next time."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._directory.touch_keys(uses)
        except ServiceError as error:
            self._uses = {**uses, **self._uses}
            log.warning("key_uses.unwritten", reason=error.reason, error=str(error))

    async def keep_writing_uses(self) -> None:
        """Write uses for ever."""
        while True:
            await self._sleep(USES_WRITTEN_SECONDS)
            await self.write_uses()
