"""Authentication: every answer, from memory, with virtual time."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest

from libs.common.errors import FailedPrecondition, Unavailable
from libs.common.names import PLATFORM, RunName
from services.auth import keys
from services.auth.authentication import Authentication
from services.auth.directory import AuthUnavailable, Directory
from services.auth.failures import AuthenticationThrottled, Failures
from services.auth.key_store import MemoryKeyStore
from services.auth.keys import (
    ApiKeyExpired,
    ApiKeyMalformed,
    ApiKeyRevoked,
    ApiKeyUnknown,
    KeyRecord,
)
from services.auth.signing_keys import MemorySigningKeyStore, NotInitialized, SigningKeys
from services.auth.tenant_store import MemoryTenantStore
from services.auth.tenants import (
    Tenant,
    TenantDeleted,
    TenantIdConfusable,
    TenantNotFound,
    TenantState,
    TenantSuspended,
)
from services.auth.tokens import SigningKey
from tests.unit.auth.virtual_time import START, VirtualTime

SECRET = keys.new_secret("acme", 1)
HAND = "my-key"
PEER = "10.0.0.1"
ACME = Tenant(tenant_id="acme", create_time=START, update_time=START)
RUN = RunName("acme", "p", "r")


def record(secret: str, tenant: str = "acme", **fields: object) -> KeyRecord:
    digest = keys.digest_of(secret)
    plain = KeyRecord(
        digest=digest, tenant=tenant, key_id=keys.derived_key_id(digest), create_time=START
    )
    return dataclasses.replace(plain, **fields)  # type: ignore[arg-type]


class Counted:
    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def authenticated(self, outcome: str) -> None:
        self.outcomes[outcome] += 1


class Auth:
    """An authentication over stores in memory; `folders` are the config folders."""

    def __init__(
        self,
        *records: KeyRecord,
        tenants: tuple[Tenant, ...] = (ACME,),
        failures: Failures | None = None,
    ) -> None:
        self.time = VirtualTime()
        self.keys = MemoryKeyStore(*records)
        self.tenants = MemoryTenantStore(*tenants)
        self.signing = MemorySigningKeyStore(SigningKey.generate())
        self.metrics = Counted()
        self.folders: set[str] = set()
        clock, sleep = self.time.clock, self.time.sleep
        self.directory = Directory(self.keys, self.tenants, clock=clock, sleep=sleep)
        self.it = Authentication(
            self.directory,
            SigningKeys(self.signing, clock=clock, sleep=sleep),
            self.metrics,
            clock=self.time.clock,
            now=self.time.now,
            has_folder=self.folders.__contains__,
            failures=failures,
            sleep=self.time.sleep,
        )

    async def call(self, secret: str = SECRET, peer: str = PEER) -> KeyRecord:
        return (await self.it.call(secret, peer=peer)).key


async def ready(*records: KeyRecord, tenants: tuple[Tenant, ...] = (ACME,)) -> Auth:
    auth = Auth(*records, tenants=tenants)
    await auth.directory.refresh()
    return auth


async def test_a_known_key_is_answered_from_memory_with_a_token_for_the_asker() -> None:
    auth = await ready(record(SECRET, scopes=frozenset({"runs:read"})))
    identity = await auth.it.identify(SECRET, audience="orchestrator", peer=PEER)
    claims = jwt.decode(identity.token.text, options={"verify_signature": False})
    assert (claims["sub"], claims["aud"], claims["scopes"]) == (
        "acme",
        ["orchestrator"],
        ["runs:read"],
    )
    assert identity.caller.tenant == ACME
    assert identity.cache_seconds == 20.0
    assert auth.keys.reads == 1
    assert auth.metrics.outcomes == {"OK": 1}


async def test_a_token_is_signed_once_a_minute_for_each_key_and_audience() -> None:
    auth = await ready(record(SECRET))

    async def token(audience: str) -> str:
        return (await auth.it.identify(SECRET, audience=audience, peer=PEER)).token.text

    first = await token("orchestrator")
    auth.time.pass_(19)
    assert await token("orchestrator") == first
    assert await token("auth") != first
    auth.time.pass_(41)
    await auth.directory.refresh()
    assert await token("orchestrator") != first


async def test_the_answer_about_a_key_that_ends_soon_is_kept_no_longer_than_the_key() -> None:
    auth = await ready(record(SECRET, expire_time=START + timedelta(seconds=5)))
    identity = await auth.it.identify(SECRET, audience="orchestrator", peer=PEER)
    assert identity.cache_seconds == pytest.approx(5.0)
    assert identity.token.expire_time == START + timedelta(seconds=5)


async def test_a_platform_key_needs_no_tenant() -> None:
    auth = await ready(record(SECRET, PLATFORM), tenants=())
    caller = await auth.it.call(SECRET, peer=PEER)
    assert (caller.key.tenant, caller.tenant) == ("-", None)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"active": False}, ApiKeyRevoked),
        ({"revoke_time": START}, ApiKeyRevoked),
        ({"expire_time": START}, ApiKeyExpired),
    ],
)
async def test_an_ended_key_is_refused_by_its_own_reason(
    fields: dict[str, Any], refusal: type[Exception]
) -> None:
    auth = await ready(record(SECRET, **fields))
    with pytest.raises(refusal):
        await auth.call()
    assert auth.keys.reads == 1


async def test_a_mistyped_key_is_refused_before_any_reading() -> None:
    auth = await ready()
    with pytest.raises(ApiKeyMalformed):
        await auth.call(SECRET[:-1] + "x")
    assert auth.keys.reads == 1
    assert auth.metrics.outcomes == {"API_KEY_MALFORMED": 1}


async def test_a_new_key_works_at_once() -> None:
    auth = await ready()
    await auth.keys.insert(record(HAND))
    assert (await auth.call(HAND)).tenant == "acme"
    assert auth.keys.reads == 2


async def test_an_unknown_key_is_looked_for_once_and_then_refused_from_memory() -> None:
    auth = await ready()
    for _ in range(5):
        with pytest.raises(ApiKeyUnknown):
            await auth.call(HAND)
    assert auth.keys.reads == 2


async def test_a_refresh_ends_the_memory_of_a_failure() -> None:
    auth = await ready()
    with pytest.raises(ApiKeyUnknown):
        await auth.call(HAND)
    await auth.keys.insert(record(HAND))
    await auth.directory.refresh()
    assert await auth.call(HAND)


async def test_an_address_that_fails_too_often_is_throttled_but_not_its_good_keys() -> None:
    auth = Auth(record(SECRET), failures=Failures(rate=0.01, burst=2))
    await auth.directory.refresh()
    for number in range(2):
        with pytest.raises(ApiKeyUnknown):
            await auth.call(f"guess-{number}")
    for guess in ("guess-3", "cvg_x_short"):
        with pytest.raises(AuthenticationThrottled):
            await auth.call(guess)
    assert await auth.call(SECRET)
    with pytest.raises(ApiKeyUnknown):
        await auth.call("guess-4", peer="10.0.0.2")


async def test_a_row_made_by_hand_gets_its_tenant_on_first_use_if_there_is_a_folder() -> None:
    auth = await ready(record(HAND, "widgets"))
    with pytest.raises(TenantNotFound, match="give it a config folder"):
        await auth.call(HAND)
    auth.folders.add("widgets")
    assert (await auth.call(HAND)).tenant == "widgets"
    assert {tenant.tenant_id for tenant in await auth.tenants.read()} == {"acme", "widgets"}


async def test_a_row_made_by_hand_cannot_bring_in_a_confusable_tenant() -> None:
    auth = await ready(record(HAND, "acme_corp"))
    auth.folders.add("acme_corp")
    with pytest.raises(TenantIdConfusable):
        await auth.call(HAND)
    assert await auth.tenants.read() == [ACME]


async def test_a_tenant_that_cannot_be_registered_now_is_no_ones_fault() -> None:
    auth = await ready(record(HAND, "widgets"))
    auth.folders.add("widgets")
    auth.tenants.fail_with = Unavailable("down", reason="WAREHOUSE_UNAVAILABLE")
    with pytest.raises(AuthUnavailable):
        await auth.call(HAND)


@pytest.mark.parametrize(
    ("state", "refusal"),
    [(TenantState.SUSPENDED, TenantSuspended), (TenantState.DELETED, TenantDeleted)],
)
async def test_a_tenant_that_is_not_active_may_not_call(
    state: TenantState, refusal: type[Exception]
) -> None:
    auth = await ready(record(SECRET), tenants=(dataclasses.replace(ACME, state=state),))
    with pytest.raises(refusal):
        await auth.call()
    with pytest.raises(refusal):
        await auth.it.run_token(RUN, frozenset({"ingest"}))


async def test_with_bigquery_down_known_keys_work_and_of_others_nothing_is_said() -> None:
    auth = await ready(record(SECRET))
    auth.keys.fail_with = Unavailable("down", reason="WAREHOUSE_UNAVAILABLE")
    assert await auth.call()
    with pytest.raises(AuthUnavailable):
        await auth.call(HAND)
    auth.time.pass_(61)
    with pytest.raises(AuthUnavailable):
        await auth.call()
    auth.keys.fail_with = None
    await auth.directory.refresh()
    assert await auth.call()


async def test_before_init_every_call_names_the_command_and_after_it_the_next_works() -> None:
    auth = Auth(record(SECRET))
    auth.signing = store = MemorySigningKeyStore()
    signing = SigningKeys(store, clock=auth.time.clock, sleep=auth.time.sleep)
    auth.keys.fail_with = absent = NotInitialized("table metadata.api_keys")
    it = Authentication(
        auth.directory,
        signing,
        auth.metrics,
        clock=auth.time.clock,
        now=auth.time.now,
        has_folder=auth.folders.__contains__,
    )
    await auth.directory.refresh()
    calls: list[Callable[[], object]] = [
        lambda: it.identify(SECRET, audience="auth", peer=PEER),
        lambda: it.call(SECRET, peer=PEER),
        lambda: it.run_token(RUN, frozenset({"ingest"})),
        it.signer,
    ]
    for call in calls:
        with pytest.raises(FailedPrecondition) as error:
            await call()  # type: ignore[misc]
        assert error.value.metadata == absent.metadata == {"command": "convergence admin init"}
    auth.keys.fail_with = None
    await store.create(SigningKey.generate().pem())
    assert await it.identify(SECRET, audience="auth", peer=PEER)


async def test_a_run_token_is_bound_to_its_run() -> None:
    auth = await ready()
    token = (await auth.it.run_token(RUN, frozenset({"ingest", "quality"}))).token
    claims = jwt.decode(token.text, options={"verify_signature": False})
    assert (claims["sub"], claims["run"], claims["aud"]) == (
        "acme",
        str(RUN),
        ["ingest", "quality"],
    )


async def test_a_run_token_says_as_whom_and_where_the_tenants_sources_may_read() -> None:
    auth = await ready()
    account, prefixes = "loader@p-1.iam.gserviceaccount.com", ("gs://acme/", "s3://acme/x/")
    before = auth.directory.current().tenants["acme"]
    after = dataclasses.replace(before, service_account=account, source_prefixes=prefixes)
    await auth.directory.swap_tenant(before, after)
    token = (await auth.it.run_token(RUN, frozenset({"ingest"}))).token
    claims = jwt.decode(token.text, options={"verify_signature": False})
    assert (claims["service_account"], claims["source_prefixes"]) == (account, list(prefixes))


async def test_a_run_of_no_tenant_gets_no_token() -> None:
    auth = await ready()
    with pytest.raises(TenantNotFound):
        await auth.it.run_token(RunName("nobody", "p", "r"), frozenset({"ingest"}))


async def test_uses_are_written_in_one_go_and_kept_while_the_store_is_down() -> None:
    auth = await ready(record(SECRET), record(HAND))
    await asyncio.gather(auth.call(SECRET), auth.call(HAND))
    auth.keys.fail_with = Unavailable("down", reason="WAREHOUSE_UNAVAILABLE")
    await auth.it.write_uses()
    auth.keys.fail_with = None
    auth.time.pass_(5)
    await auth.call(HAND)
    await auth.it.write_uses()
    uses = {key.digest: key.last_use_time for key in await auth.keys.read()}
    assert uses == {
        keys.digest_of(SECRET): START,
        keys.digest_of(HAND): START + timedelta(seconds=5),
    }


async def test_a_signing_key_that_cannot_be_read_again_keeps_signing_but_an_exposed_one_does_not() -> (
    None
):
    auth = await ready()
    store = MemorySigningKeyStore(SigningKey.generate())
    signing = SigningKeys(store, clock=auth.time.clock, sleep=auth.time.sleep)
    first = await signing.ready()
    store.fail_with = Unavailable("down", reason="SECRET_STORE_UNAVAILABLE")
    await signing.refresh()
    assert await signing.ready() is first
    store.fail_with = FailedPrecondition("exposed", reason="SIGNING_KEY_UNUSABLE")
    await signing.refresh()
    with pytest.raises(FailedPrecondition, match="exposed"):
        await signing.ready()
