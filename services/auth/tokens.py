"""Identity tokens: what they claim, and how they are signed."""

import dataclasses
import hashlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Self

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER: Final = "convergence-auth"
ALGORITHM: Final = "EdDSA"
LIFE: Final = timedelta(minutes=5)
AUDIENCES: Final = frozenset({"orchestrator", "auth", "ingest", "quality"})
PEM_END: Final = b"-----END PRIVATE KEY-----"


def checked_audiences(names: Iterable[str]) -> frozenset[str]:
    """Return the services that a token is for; raise ValueError for none or an unknown one."""
    found = frozenset(names)
    if not found or not found <= AUDIENCES:
        wrong = ", ".join(map(repr, sorted(found - AUDIENCES))) or "none"
        raise ValueError(f"found {wrong}; allowed are {', '.join(sorted(AUDIENCES))}")
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A signed token and when it ends (UTC)."""

    text: str
    expire_time: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """As which service account, and below which URIs, a tenant's sources may read."""

    service_account: str = ""
    source_prefixes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key that tokens are verified with: its id and its 32 raw bytes."""

    key_id: str
    raw: bytes


class SigningKey:
    """An Ed25519 private key. It shows nothing but its id."""

    __slots__ = ("_private", "key_id", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        raw = private.public_key().public_bytes_raw()
        self._private = private
        self.key_id = hashlib.sha256(raw).hexdigest()[:16]
        self.public = PublicKey(key_id=self.key_id, raw=raw)

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    @classmethod
    def generate(cls) -> Self:
        return cls(Ed25519PrivateKey.generate())

    def pem(self) -> bytes:
        """Return the private key as PKCS #8; only for writing it to where secrets are kept."""
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, claims: dict[str, object]) -> str:
        return jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self.key_id})


class Signer:
    """Signs with the first of its keys and publishes all: a key is published before it signs."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        if not keys:
            raise ValueError("no private key in it; `convergence admin init` makes one")
        self._keys = tuple(keys)

    @classmethod
    def parse(cls, pem: bytes) -> Self:
        """Read one or more PKCS #8 Ed25519 keys, the signing one first; raise ValueError for others."""
        keys = []
        for block in pem.split(PEM_END)[:-1]:
            private = serialization.load_pem_private_key(block + PEM_END + b"\n", password=None)
            if not isinstance(private, Ed25519PrivateKey):
                raise ValueError("a private key in it is not Ed25519")
            keys.append(SigningKey(private))
        return cls(keys)

    @property
    def key_id(self) -> str:
        """Id of the key that signs."""
        return self._keys[0].key_id

    @property
    def public_keys(self) -> tuple[PublicKey, ...]:
        return tuple(key.public for key in self._keys)

    def sign(
        self,
        *,
        tenant: str,
        audiences: Iterable[str],
        scopes: Iterable[str],
        now: datetime,
        run: str = "",
        key_id: str = "",
        reach: Reach | None = None,
        not_after: datetime | None = None,
    ) -> Token:
        """Return a token for `tenant` that ends LIFE after `now`, or at `not_after` if that is sooner.

        `run` binds it to a run's name; `key_id` tells logs which API key stands behind it.
        `reach` says as whom and where its sources may read.
        """
        end = now + LIFE
        if not_after is not None:
            end = min(end, not_after)
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": sorted(audiences),
            "sub": tenant,
            "scopes": sorted(scopes),
            "iat": int(now.timestamp()),
            "exp": int(end.timestamp()),
            "jti": uuid.uuid4().hex,
        }
        if run:
            claims["run"] = run
        if key_id:
            claims["key_id"] = key_id
        if reach is not None:
            claims["service_account"] = reach.service_account
            claims["source_prefixes"] = list(reach.source_prefixes)
        return Token(text=self._keys[0].sign(claims), expire_time=end.replace(microsecond=0))
