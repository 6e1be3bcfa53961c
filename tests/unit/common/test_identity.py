"""Identity tokens are believed only if auth signed them, for this service, and until they are over."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common import identity
from libs.common.errors import Unavailable
from libs.common.identity import CredentialMissing, IdentityTokenInvalid, Principal, TokenVerifier

NOW = 1_800_000_000.0
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
CLAIMS: dict[str, Any] = {
    "iss": "convergence-auth",
    "aud": ["ingest", "quality"],
    "sub": "acme",
    "scopes": ["runs:read", "runs:write"],
    "run": "tenants/acme/pipelines/p/runs/r1",
    "iat": NOW - 10,
    "exp": NOW + 300,
}


def raw(key: Ed25519PrivateKey) -> bytes:
    form = serialization.PublicFormat.Raw
    return key.public_key().public_bytes(serialization.Encoding.Raw, form)


def token(key: Any = KEY, *, kid: str | None = "k1", alg: str = "EdDSA", **claims: Any) -> str:
    """Return a token; a claim that is None is left out."""
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(said, key, algorithm=alg, headers={"kid": kid} if kid else None)


class Auth:
    """Public keys as auth lists them. Dials: `keys`, `down`."""

    def __init__(self) -> None:
        self.keys = {"k1": raw(KEY)}
        self.down = False
        self.asked = 0
        self.now = NOW

    async def fetch(self) -> Mapping[str, bytes]:
        self.asked += 1
        if self.down:
            raise Unavailable("auth does not answer")
        return self.keys

    def verifier(self, audience: str = "ingest") -> TokenVerifier:
        return TokenVerifier(audience, self.fetch, clock=lambda: self.now)


@pytest.fixture
def auth() -> Auth:
    return Auth()


def altered(text: str, part: int, **fields: Any) -> str:
    """Return a token whose header (0) or claims (1) were changed after it was signed."""
    parts = text.split(".")
    document = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    document |= fields
    parts[part] = base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
    return ".".join(parts)


async def test_a_token_stands_for_tenant_scopes_and_run(auth: Auth) -> None:
    assert await auth.verifier().verify(token()) == Principal(
        tenant="acme",
        scopes=frozenset({"runs:read", "runs:write"}),
        run="tenants/acme/pipelines/p/runs/r1",
    )


async def test_a_token_says_as_whom_and_where_sources_may_read(auth: Auth) -> None:
    claims: dict[str, Any] = {"service_account": "a@b", "source_prefixes": ["gs://a/", "s3://b/c/"]}
    principal = await auth.verifier().verify(token(**claims))
    assert (principal.service_account, principal.source_prefixes) == (
        "a@b", ("gs://a/", "s3://b/c/"),
    )  # fmt: skip


REFUSED = {
    "of more prefixes than were signed": altered(token(), 1, source_prefixes=["gs://widgets/"]),
    "over": token(exp=NOW),
    "long over": token(exp=NOW - 3600),
    "of another key": token(OTHER),
    "of a key that is not listed": token(OTHER, kid="k2"),
    "without a key's id": token(kid=None),
    "for another service": token(aud=["quality"]),
    "for nobody": token(aud=None),
    "of another issuer": token(iss="somebody"),
    "of no issuer": token(iss=None),
    "without a tenant": token(sub=None),
    "without an end": token(exp=None),
    "without a beginning": token(iat=None),
    "not signed": token(None, alg="none"),
    "not signed, by its header": altered(token(), 0, alg="none"),
    "signed with the public key as a shared one": token(raw(KEY), alg="HS256"),
    "of another tenant than was signed": altered(token(), 1, sub="widgets"),
    "of more scopes than were signed": altered(token(), 1, scopes=["platform:admin"]),
    "longer than was signed": altered(token(), 1, exp=NOW + 9_999_999),
    "cut": token()[:-4],
    "without a signature": token().rpartition(".")[0] + ".",
    "no token": "cvg_acme_key",
    "empty": "",
    "not ascii": "é.é.é",
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_token_that_auth_did_not_sign_for_this_service_now_is_refused(
    case: str, auth: Auth
) -> None:
    verifier = auth.verifier()
    with pytest.raises(IdentityTokenInvalid) as error:
        await verifier.verify(REFUSED[case])
    assert error.value.reason == "IDENTITY_TOKEN_INVALID"
    assert list(error.value.metadata) == ["cause"]
    if REFUSED[case]:
        assert REFUSED[case] not in str(error.value)


async def test_a_token_of_an_auth_whose_clock_is_ahead_is_good(auth: Auth) -> None:
    assert (await auth.verifier().verify(token(iat=NOW + 5))).tenant == "acme"


async def test_a_token_that_was_good_ends_on_the_second(auth: Auth) -> None:
    verifier, text = auth.verifier(), token()
    auth.now = NOW + 299.9
    await verifier.verify(text)
    auth.now = NOW + 300
    with pytest.raises(IdentityTokenInvalid, match="it is over"):
        await verifier.verify(text)


async def test_a_verifier_for_one_service_refuses_what_another_believed(auth: Auth) -> None:
    text = token(aud=["quality"])
    assert (await auth.verifier("quality").verify(text)).tenant == "acme"
    with pytest.raises(IdentityTokenInvalid):
        await auth.verifier("ingest").verify(text)


async def test_keys_are_asked_for_once_and_then_tokens_are_verified_offline(auth: Auth) -> None:
    verifier = auth.verifier()
    for number in range(20):
        await verifier.verify(token(jti=str(number)))
    auth.down = True
    await verifier.verify(token(jti="another"))
    assert auth.asked == 1


async def test_a_new_signing_key_is_found_within_ten_seconds(auth: Auth) -> None:
    verifier, text = auth.verifier(), token(OTHER, kid="k2")
    await verifier.verify(token())
    auth.keys = {"k1": raw(KEY), "k2": raw(OTHER)}
    with pytest.raises(IdentityTokenInvalid):
        await verifier.verify(text)
    auth.now += 10
    assert (await verifier.verify(text)).tenant == "acme"


async def test_unknown_keys_do_not_make_auth_be_asked_more_than_once_in_ten_seconds(
    auth: Auth,
) -> None:
    verifier = auth.verifier()
    for number in range(50):
        with pytest.raises(IdentityTokenInvalid):
            await verifier.verify(token(OTHER, kid=f"no{number}"))
        auth.now += 0.1
    assert auth.asked == 1


async def test_without_auth_nothing_is_known_of_a_token(auth: Auth) -> None:
    auth.down = True
    verifier = auth.verifier()
    with pytest.raises(Unavailable):
        await verifier.verify(token())
    auth.down = False
    assert (await verifier.verify(token())).tenant == "acme"


async def test_the_cache_forgets_the_tokens_that_were_not_seen_for_longest(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "LARGEST_CACHE", 2)
    verifier = auth.verifier()
    texts = [token(jti=str(number)) for number in range(3)]
    for text in (texts[0], texts[1], texts[0], texts[2]):
        await verifier.verify(text)
    assert list(verifier._known) == [texts[0], texts[2]]


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER"])
async def test_a_call_carries_its_token_as_a_bearer(word: str, auth: Auth) -> None:
    metadata = {"authorization": f"{word} {token()}"}
    assert (await auth.verifier().authenticate(metadata)).tenant == "acme"


@pytest.mark.parametrize(
    "metadata",
    [{}, {"authorization": ""}, {"authorization": "Bearer "}, {"authorization": "Basic x"}],
    ids=["nothing", "empty", "no token", "another kind"],
)
async def test_a_call_without_a_token_is_told_how_to_send_one(
    metadata: Mapping[str, str], auth: Auth
) -> None:
    with pytest.raises(CredentialMissing, match="authorization: Bearer") as error:
        await auth.verifier().authenticate(metadata)
    assert error.value.reason == "CREDENTIAL_MISSING"


def test_only_platform_admins_are_the_platform() -> None:
    assert Principal(tenant="-", scopes=frozenset({"platform:admin"})).platform
    assert not Principal(tenant="-", scopes=frozenset({"tenant:admin"})).platform
