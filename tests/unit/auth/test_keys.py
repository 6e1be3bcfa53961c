"""Keys as text and as records."""

import dataclasses
import hashlib
import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.names import ID, PLATFORM
from services.auth import keys
from services.auth.keys import (
    ApiKeyExpired,
    ApiKeyMalformed,
    ApiKeyRevoked,
    KeyRecord,
    ScopeMissing,
    Verdict,
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOMENTS = (None, NOON - HOUR, NOON, NOON + HOUR)
KEY = KeyRecord(digest="d", tenant="acme", key_id="k1", create_time=NOON)


@pytest.mark.parametrize("bits", [0, 1, 2**256 - 1])
@pytest.mark.parametrize("tenant", ["acme", "acme_corp", "x" * 63])
def test_a_key_has_the_same_form_whatever_its_bits(tenant: str, bits: int) -> None:
    secret = keys.new_secret(tenant, bits)
    assert re.fullmatch(rf"cvg_{tenant}_[0-9A-Za-z]{{49}}", secret)
    assert re.search("cvg_[a-z0-9_]{2,63}_[0-9A-Za-z]{49}", secret)


def test_the_key_of_known_bits_is_this_one() -> None:
    assert keys.new_secret("acme", 0) == "cvg_acme_" + "0" * 43 + keys.checksum(
        "cvg_acme_" + "0" * 43
    )
    assert keys.new_secret("acme", 61)[:52] == "cvg_acme_" + "0" * 42 + "z"


def test_a_platform_key_says_so() -> None:
    assert keys.new_secret(PLATFORM).startswith("cvg_platform_")


def test_two_keys_differ() -> None:
    assert len({keys.new_secret("acme") for _ in range(100)}) == 100


def test_the_digest_is_sha_256_of_the_whole_key() -> None:
    secret = keys.new_secret("acme_corp")
    assert keys.digest_of(secret) == hashlib.sha256(secret.encode()).hexdigest()


def test_every_change_of_one_character_is_caught_by_form_or_checksum() -> None:
    secret = keys.new_secret("acme", 12345)
    for place in range(4, len(secret)):
        typo = secret[:place] + ("b" if secret[place] == "a" else "a") + secret[place + 1 :]
        with pytest.raises(ApiKeyMalformed):
            keys.digest_of(typo)


def test_two_swapped_neighbours_are_caught() -> None:
    secret = keys.new_secret("acme", 2**255 + 987654321)
    for place in range(9, len(secret) - 1):
        swapped = secret[:place] + secret[place + 1] + secret[place] + secret[place + 2 :]
        if swapped != secret:
            with pytest.raises(ApiKeyMalformed):
                keys.digest_of(swapped)


@pytest.mark.parametrize(
    "text", ["", "cvg_", "cvg_acme_short", "cvg_acme_" + "é" * 49, "x" * 257, "é" * 129]
)
def test_what_cannot_be_a_key_is_refused_with_advice(text: str) -> None:
    with pytest.raises(ApiKeyMalformed, match="key"):
        keys.digest_of(text)


@pytest.mark.parametrize("text", ["my-key", "x" * 256, "sk_live_1", "CVG_acme_1"])
def test_any_other_text_may_be_a_key_inserted_by_hand(text: str) -> None:
    assert keys.digest_of(text) == hashlib.sha256(text.encode()).hexdigest()


def test_no_refusal_shows_the_key() -> None:
    secret = keys.new_secret("acme")
    with pytest.raises(ApiKeyMalformed) as error:
        keys.digest_of(secret[:-1])
    assert secret[9:40] not in str(error.value) + str(error.value.metadata)


@pytest.mark.parametrize(
    ("active", "expire", "revoke"),
    list(itertools.product([True, False], MOMENTS, MOMENTS)),
)
def test_revoked_weighs_more_than_expired_and_the_moment_itself_counts(
    active: bool, expire: datetime | None, revoke: datetime | None
) -> None:
    key = dataclasses.replace(KEY, active=active, expire_time=expire, revoke_time=revoke)
    if not active or (revoke and revoke <= NOON):
        expected = Verdict.REVOKED
    elif expire and expire <= NOON:
        expected = Verdict.EXPIRED
    else:
        expected = Verdict.ACTIVE
    assert keys.verdict(key, NOON) is expected


def test_refusals_name_the_key_and_what_to_do() -> None:
    with pytest.raises(ApiKeyRevoked) as revoked:
        keys.refuse_unless_active(dataclasses.replace(KEY, active=False), NOON)
    assert revoked.value.metadata == {"keyId": "k1"}
    ended = dataclasses.replace(KEY, expire_time=NOON, superseded_by="k2")
    with pytest.raises(ApiKeyExpired, match="use key k2") as expired:
        keys.refuse_unless_active(ended, NOON)
    assert expired.value.metadata == {"keyId": "k1", "expireTime": NOON.isoformat()}


@pytest.mark.parametrize(
    ("text", "tenant", "expected"),
    [
        (None, "acme", keys.DEFAULT_SCOPES),
        (None, PLATFORM, keys.DEFAULT_SCOPES),
        ("", "acme", frozenset()),
        ("runs:read, runs:write", "acme", {"runs:read", "runs:write"}),
        ("runs:read tenant:admin", "acme", {"runs:read", "tenant:admin"}),
        ("platform:admin runs:read", "acme", {"runs:read"}),
        ("platform:admin", PLATFORM, {"platform:admin"}),
        ("runs:delete", "acme", frozenset()),
    ],
)
def test_stored_scopes_never_grant_more_than_they_say(
    text: str | None, tenant: str, expected: frozenset[str]
) -> None:
    assert keys.parse_scopes(text, tenant) == expected


def test_no_admin_by_default() -> None:
    assert not {s for s in keys.DEFAULT_SCOPES if s.endswith("admin")}
    assert keys.checked_scopes([], PLATFORM) == keys.DEFAULT_SCOPES


def test_platform_admin_cannot_be_asked_for_in_a_tenant() -> None:
    with pytest.raises(ValueError, match="'platform:admin'; allowed are"):
        keys.checked_scopes(["platform:admin", "runs:read"], "acme")


def test_nobody_hands_out_scopes_that_they_lack() -> None:
    with pytest.raises(ScopeMissing) as error:
        keys.refuse_more_than(frozenset({"tenant:admin"}), frozenset({"runs:read"}), "CreateApiKey")
    assert error.value.metadata == {"scope": "runs:read", "method": "CreateApiKey"}
    keys.refuse_more_than(frozenset({"platform:admin"}), keys.SCOPES, "CreateApiKey")
    keys.refuse_more_than(keys.DEFAULT_SCOPES, frozenset({"runs:read"}), "CreateApiKey")


def test_ids_of_keys_can_be_part_of_a_name() -> None:
    for key_id in (keys.new_key_id(), keys.new_key_id(0), keys.derived_key_id("f" * 64)):
        assert ID.fullmatch(key_id)
        assert keys.valid_key_id(key_id)
    assert len({keys.new_key_id() for _ in range(100)}) == 100
    assert not keys.valid_key_id("K-1")
    assert not keys.valid_key_id(None)
