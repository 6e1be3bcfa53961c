"""Identity tokens: what they say, and that only the published keys verify them."""

from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from services.auth.tokens import ISSUER, LIFE, Signer, SigningKey
from tests.unit.auth.virtual_time import START


def claims_of(text: str, signer: Signer, audience: str = "ingest") -> dict[str, object]:
    kid = jwt.get_unverified_header(text)["kid"]
    raw = next(key.raw for key in signer.public_keys if key.key_id == kid)
    return jwt.decode(
        text,
        Ed25519PublicKey.from_public_bytes(raw),
        algorithms=["EdDSA"],
        audience=audience,
        issuer=ISSUER,
        options={
            "verify_exp": False,
            "verify_iat": False,
            "require": ["exp", "iat", "aud", "iss", "sub", "jti"],
        },
    )


def test_a_token_says_whom_it_is_for_and_ends_in_minutes() -> None:
    signer = Signer([SigningKey.generate()])
    token = signer.sign(
        tenant="acme",
        audiences=["quality", "ingest"],
        scopes=["runs:write", "runs:read"],
        now=START,
        run="tenants/acme/pipelines/p/runs/r",
    )
    claims = claims_of(token.text, signer)
    assert claims.pop("jti")
    assert claims == {
        "iss": "convergence-auth",
        "aud": ["ingest", "quality"],
        "sub": "acme",
        "scopes": ["runs:read", "runs:write"],
        "run": "tenants/acme/pipelines/p/runs/r",
        "iat": START.timestamp(),
        "exp": (START + LIFE).timestamp(),
    }
    assert token.expire_time == START + LIFE
    assert timedelta(minutes=5) >= LIFE


def test_a_token_never_outlives_its_key() -> None:
    signer = Signer([SigningKey.generate()])
    end = START + timedelta(seconds=10)
    token = signer.sign(tenant="acme", audiences=["ingest"], scopes=[], now=START, not_after=end)
    assert claims_of(token.text, signer)["exp"] == end.timestamp()


def test_a_token_of_another_key_does_not_verify() -> None:
    ours, other = Signer([SigningKey.generate()]), Signer([SigningKey.generate()])
    token = other.sign(tenant="acme", audiences=["ingest"], scopes=[], now=START)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(
            token.text,
            Ed25519PublicKey.from_public_bytes(ours.public_keys[0].raw),
            algorithms=["EdDSA"],
            audience="ingest",
            options={"verify_exp": False},
        )


def test_the_first_key_signs_and_all_are_published() -> None:
    new, old = SigningKey.generate(), SigningKey.generate()
    signer = Signer.parse(old.pem() + b"\n" + new.pem())
    assert [key.key_id for key in signer.public_keys] == [old.key_id, new.key_id]
    token = signer.sign(tenant="acme", audiences=["ingest"], scopes=[], now=START)
    assert jwt.get_unverified_header(token.text) == {
        "alg": "EdDSA",
        "typ": "JWT",
        "kid": old.key_id,
    }


def test_what_is_no_ed25519_key_is_refused() -> None:
    rsa = generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for pem in (b"", b"nonsense", rsa):
        with pytest.raises(ValueError, match="private key"):
            Signer.parse(pem)


def test_a_signing_key_does_not_show_itself() -> None:
    key = SigningKey.generate()
    assert repr(key) == f"SigningKey({key.key_id})"
