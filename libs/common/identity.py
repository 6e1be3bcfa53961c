"""Who calls: the principal of a call, and identity tokens verified offline."""

import contextvars
import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from libs.common.errors import Unauthenticated

ISSUER: Final = "convergence-auth"
PLATFORM_ADMIN: Final = "platform:admin"
REFETCH_SECONDS: Final = 10.0
LARGEST_CACHE: Final = 10_000


class CredentialMissing(Unauthenticated):
    """The call carries no key or token."""

    reason = "CREDENTIAL_MISSING"


class IdentityTokenInvalid(Unauthenticated):
    """The token is not one that auth signed for this service, or is over."""

    reason = "IDENTITY_TOKEN_INVALID"

    def __init__(self, cause: str) -> None:
        super().__init__(f"the identity token is refused: {cause}", cause=cause)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom a call is made for. Limits of 0 mean the platform's defaults.

    service_account, source_prefixes: As whom and where sources may read; in tokens of runs only.
    """

    tenant: str
    scopes: frozenset[str] = frozenset()
    key_id: str = ""
    run: str = ""
    calls_per_second: float = 0.0
    call_burst: int = 0
    live_run_count: int = 0
    slot_weight: float = 0.0
    chunk_count: int = 0
    read_bytes_per_day: int = 0
    key_expire_time: datetime | None = None
    service_account: str = ""
    source_prefixes: tuple[str, ...] = ()

    @property
    def platform(self) -> bool:
        return PLATFORM_ADMIN in self.scopes


CALLER: Final[contextvars.ContextVar[Principal]] = contextvars.ContextVar("caller")


def caller() -> Principal:
    """Return whom the present call is made for."""
    return CALLER.get()


class TokenVerifier:
    """Verifies identity tokens with auth's public keys, each token once.

    Args:
        audience: This service: `ingest`, `quality`, `orchestrator`, `auth`.
        fetch_keys: Returns raw Ed25519 public keys by key id; asked again for an unknown id, at
            most once in 10 s. May raise Unavailable.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        audience: str,
        fetch_keys: Callable[[], Awaitable[Mapping[str, bytes]]],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._audience = audience
        self._fetch = fetch_keys
        self._clock = clock
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched = float("-inf")
        self._known: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """Return whom a token stands for. Raises IdentityTokenInvalid, Unavailable."""
        known = self._known.get(token)
        if known and known[1] > self._clock():
            self._known.move_to_end(token)
            return known[0]
        principal, expire = await self._decode(token)
        self._known[token] = principal, expire
        if len(self._known) > LARGEST_CACHE:
            self._known.popitem(last=False)
        return principal

    async def _decode(self, token: str) -> tuple[Principal, float]:
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            claims = jwt.decode(
                token,
                await self._key(key_id),
                algorithms=["EdDSA"],
                audience=self._audience,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss"],
                    # The end is compared below, with the clock given; auth's clock may be ahead.
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError as error:
            raise IdentityTokenInvalid(type(error).__name__) from error
        expire = float(claims["exp"])
        if expire <= self._clock():
            raise IdentityTokenInvalid("it is over")
        scopes = claims.get("scopes", ())
        return (
            Principal(
                tenant=str(claims["sub"]),
                scopes=frozenset(scopes.split() if isinstance(scopes, str) else scopes),
                run=str(claims.get("run", "")),
                service_account=str(claims.get("service_account", "")),
                source_prefixes=tuple(claims.get("source_prefixes", ())),
            ),
            expire,
        )

    async def _key(self, key_id: str) -> Ed25519PublicKey:
        if key_id not in self._keys and self._clock() - self._fetched >= REFETCH_SECONDS:
            raw = await self._fetch()
            self._fetched = self._clock()
            self._keys = {k: Ed25519PublicKey.from_public_bytes(v) for k, v in raw.items()}
        if key_id not in self._keys:
            raise IdentityTokenInvalid("it was signed with a key that auth does not list")
        return self._keys[key_id]

    async def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        """Return whom a call's `authorization: Bearer …` stands for."""
        kind, _, token = metadata.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise CredentialMissing(
                "the call carries no identity token; send `authorization: Bearer {token}`"
            )
        return await self.verify(token)
