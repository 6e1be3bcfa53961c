"""API keys: their text, their digest, what a stored key says, and whether it is good now."""

import dataclasses
import enum
import hashlib
import secrets
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from libs.common.errors import NotFound, PermissionDenied, Unauthenticated
from libs.common.names import ID, PLATFORM, ApiKeyName

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX: Final = "cvg_"
SECRET_LENGTH: Final = 43
"""Base62 characters of 256 bits: 62^43 > 2^256."""
CHECKSUM_LENGTH: Final = 6
LONGEST_KEY_BYTES: Final = 256

RUNS_READ: Final = "runs:read"
RUNS_WRITE: Final = "runs:write"
PIPELINES_READ: Final = "pipelines:read"
TENANT_ADMIN: Final = "tenant:admin"
PLATFORM_ADMIN: Final = "platform:admin"

SCOPES: Final = frozenset({RUNS_READ, RUNS_WRITE, PIPELINES_READ, TENANT_ADMIN, PLATFORM_ADMIN})
DEFAULT_SCOPES: Final = frozenset({RUNS_READ, RUNS_WRITE, PIPELINES_READ})
"""What a key may do whose row names no scopes."""


class ApiKeyMalformed(Unauthenticated):
    reason = "API_KEY_MALFORMED"


class ApiKeyUnknown(Unauthenticated):
    reason = "API_KEY_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("no such API key; ask an admin of your tenant for one")


class ApiKeyExpired(Unauthenticated):
    reason = "API_KEY_EXPIRED"

    def __init__(self, key: "KeyRecord") -> None:
        assert key.expire_time is not None
        ended = key.expire_time.isoformat()
        then = f"use key {key.superseded_by}" if key.superseded_by else "create another"
        super().__init__(
            f"API key {key.key_id} ended at {ended}; {then}", keyId=key.key_id, expireTime=ended
        )


class ApiKeyRevoked(Unauthenticated):
    reason = "API_KEY_REVOKED"

    def __init__(self, key: "KeyRecord") -> None:
        super().__init__(f"API key {key.key_id} was revoked; create another", keyId=key.key_id)


class ApiKeyNotFound(NotFound):
    reason = "API_KEY_NOT_FOUND"

    def __init__(self, name: ApiKeyName) -> None:
        super().__init__(f"no API key {name}; list the tenant's keys", name=str(name))


class ScopeMissing(PermissionDenied):
    reason = "SCOPE_MISSING"

    def __init__(self, scope: str, method: str) -> None:
        super().__init__(
            f"{method} needs scope {scope} for this, which the calling key lacks; use a key that has it",
            scope=scope,
            method=method,
        )


class Verdict(enum.StrEnum):
    """Whether calls with a key succeed."""

    ACTIVE = enum.auto()
    EXPIRED = enum.auto()
    REVOKED = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key without its secret. Times are UTC; `create_time` is None in rows that lack it."""

    digest: str
    """Hex SHA-256 of the whole key, lower case."""
    tenant: str
    key_id: str
    create_time: datetime | None
    created_by: str = ""
    active: bool = True
    description: str = ""
    scopes: frozenset[str] = DEFAULT_SCOPES
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    superseded_by: str = ""
    """Id of the key that a rotation made in its place."""
    last_use_time: datetime | None = None

    @property
    def name(self) -> ApiKeyName:
        return ApiKeyName(self.tenant, self.key_id)


def verdict(key: KeyRecord, now: datetime) -> Verdict:
    """Return what a call with `key` at `now` meets: revoked weighs more than expired."""
    if not key.active or (key.revoke_time is not None and key.revoke_time <= now):
        return Verdict.REVOKED
    if key.expire_time is not None and key.expire_time <= now:
        return Verdict.EXPIRED
    return Verdict.ACTIVE


def refuse_unless_active(key: KeyRecord, now: datetime) -> None:
    """Raise ApiKeyRevoked or ApiKeyExpired if `key` is not good at `now`."""
    match verdict(key, now):
        case Verdict.REVOKED:
            raise ApiKeyRevoked(key)
        case Verdict.EXPIRED:
            raise ApiKeyExpired(key)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def checksum(text: str) -> str:
    """Return the CRC32 of `text` as 6 base62 characters."""
    return _base62(zlib.crc32(text.encode()), CHECKSUM_LENGTH)


def new_secret(tenant: str, bits: int | None = None) -> str:
    """Return a key for `tenant`; `bits` (256 random ones unless given) are its secret.

    The tenant in it is a hint for people and secret scanners and decides nothing.
    """
    hint = "platform" if tenant == PLATFORM else tenant
    number = secrets.randbits(256) if bits is None else bits
    body = f"{PREFIX}{hint}_{_base62(number, SECRET_LENGTH)}"
    return body + checksum(body)


def new_key_id(bits: int | None = None) -> str:
    """Return an id for a key: `k` and 12 characters of `[0-9a-z]`, of 60 random bits unless given."""
    number = secrets.randbits(60) if bits is None else bits
    return "k" + "".join(
        "0123456789abcdefghjkmnpqrstvwxyz"[number >> 5 * i & 31] for i in range(12)
    )


def derived_key_id(digest: str) -> str:
    """Return the id of a key whose row was made by hand and has none: it depends on the digest alone."""
    return f"h{digest[:16]}"


def digest_of(text: str) -> str:
    """Return the hex SHA-256 of a key's text; raise ApiKeyMalformed for what cannot be a key.

    The checksum is looked at only where the text begins with `cvg_`: rows made by hand may hold the
    hash of any text.
    """
    raw = text.encode()
    if not raw:
        raise ApiKeyMalformed("the API key is empty; send the whole key as `x-api-key`")
    if len(raw) > LONGEST_KEY_BYTES:
        raise ApiKeyMalformed(
            f"the API key has {len(raw)} bytes; allowed are {LONGEST_KEY_BYTES}: copy it again"
        )
    if text.startswith(PREFIX):
        _refuse_typos(text)
    return hashlib.sha256(raw).hexdigest()


def _refuse_typos(text: str) -> None:
    tail = text.rpartition("_")[2]
    length = SECRET_LENGTH + CHECKSUM_LENGTH
    if len(tail) != length or not set(tail) <= set(ALPHABET):
        raise ApiKeyMalformed(
            f"the API key does not end in {length} letters and digits after its last `_`: copy it again"
        )
    if checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        raise ApiKeyMalformed(
            "the checksum of the API key is wrong: it was mistyped, copy it again"
        )


def parse_scopes(text: str | None, tenant: str) -> frozenset[str]:
    """Return the scopes of a stored key: names parted by spaces or commas, None for the defaults.

    Names that nobody knows grant nothing, nor does `platform:admin` outside the platform's keys.
    """
    if text is None:
        return DEFAULT_SCOPES
    known = SCOPES & frozenset(text.replace(",", " ").split())
    return known if tenant == PLATFORM else known - {PLATFORM_ADMIN}


def checked_scopes(names: Iterable[str], tenant: str) -> frozenset[str]:
    """Return scopes asked for in a request, the defaults for none; raise ValueError for wrong ones."""
    asked = frozenset(names)
    allowed = SCOPES if tenant == PLATFORM else SCOPES - {PLATFORM_ADMIN}
    if wrong := sorted(asked - allowed):
        raise ValueError(
            f"scopes {', '.join(map(repr, wrong))}; allowed are {', '.join(sorted(allowed))}"
        )
    return asked or DEFAULT_SCOPES


def refuse_more_than(held: frozenset[str], asked: frozenset[str], method: str) -> None:
    """Raise ScopeMissing if a caller with scopes `held` may not hand out all of `asked`."""
    if PLATFORM_ADMIN not in held and (missing := sorted(asked - held)):
        raise ScopeMissing(missing[0], method)


def valid_key_id(text: str | None) -> bool:
    """Say whether a stored id can be part of a name."""
    return text is not None and ID.fullmatch(text) is not None
