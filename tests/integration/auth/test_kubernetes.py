"""On Kubernetes the signing key is in a Secret, and the orchestrator is known by the token of its service account."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from convergence.auth.v1.auth_service_pb2 import IssueRunTokenRequest

from libs.common.identity import CredentialMissing, IdentityTokenInvalid
from libs.kubernetes.cluster import Cluster
from libs.kubernetes.names import SCHEME, ObjectName
from services.auth import kubernetes_run_authority
from services.auth.app import Settings, opened_signing_keys
from services.auth.directory import AuthUnavailable
from services.auth.kubernetes_run_authority import AUDIENCE, KEEP_SECONDS, KubernetesAuthority
from services.auth.kubernetes_signing_keys import FIELD, KubernetesSigningKeyStore
from services.auth.signing_keys import NotInitialized, SigningKeyUnusable
from services.auth.tokens import Signer, SigningKey
from tests.integration.auth.serving import served
from tests.support.kube_api import REVIEWS, KubeApi, Mishap, Refusal, kube_api
from tests.support.refusals import refused

SECRET = ObjectName(namespace="mesh", name="convergence-signing-key")
ACCOUNT = ObjectName(namespace="mesh", name="convergence-orchestrator")
ORCHESTRATOR = "system:serviceaccount:mesh:convergence-orchestrator"
TOKEN = "eyJhbGciOi.orchestrator.s3cret"


@pytest.fixture
async def api() -> AsyncGenerator[KubeApi]:
    async with kube_api() as found:
        yield found


@pytest.fixture
async def cluster(
    api: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Cluster]:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "config")))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with contextlib.closing(Cluster.open()) as found:
        yield found


@pytest.fixture
async def store(api: KubeApi, cluster: Cluster) -> KubernetesSigningKeyStore:
    await api.put("secrets", "mesh", SECRET.name, type="Opaque")
    return KubernetesSigningKeyStore(cluster, SECRET)


async def test_a_secret_without_a_key_names_the_command_that_makes_it(
    store: KubernetesSigningKeyStore,
) -> None:
    with pytest.raises(NotInitialized, match="run `convergence admin init`"):
        await store.read()


async def test_a_key_is_kept_once_and_the_rest_of_the_secret_is_left_alone(
    store: KubernetesSigningKeyStore, api: KubeApi
) -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    await api.put("secrets", "mesh", SECRET.name, data={"own": "eA=="}, metadata={"labels": labels})
    first, second = SigningKey.generate(), SigningKey.generate()
    assert await store.create(first.pem())
    assert not await store.create(second.pem())
    assert Signer.parse(await store.read()).key_id == first.key_id
    kept = api.objects["secrets", "mesh", SECRET.name]
    assert kept["data"].keys() == {"own", FIELD}
    assert kept["metadata"]["labels"] == labels


async def test_of_two_that_make_a_key_at_once_one_does(
    store: KubernetesSigningKeyStore, cluster: Cluster, api: KubeApi
) -> None:
    """Both have read that there is none before either writes."""
    other = KubernetesSigningKeyStore(cluster, SECRET)
    pems = SigningKey.generate().pem(), SigningKey.generate().pem()
    api.gate = asyncio.Event()
    making = asyncio.gather(store.create(pems[0]), other.create(pems[1]))
    while len(api.asked) < 2:
        await asyncio.sleep(0.001)
    api.gate.set()
    made = await making
    assert sorted(made) == [False, True]
    assert await store.read() == pems[made.index(True)]


@pytest.mark.usefixtures("store")
async def test_the_setting_says_in_which_secret_the_key_is(api: KubeApi) -> None:
    pem = SigningKey.generate().pem()
    with opened_signing_keys(Settings(signing_key=f"{SCHEME}{SECRET}")) as opened:
        assert await opened.create(pem)
        assert await opened.read() == pem
    assert FIELD in api.objects["secrets", "mesh", SECRET.name]["data"]


async def test_a_secret_that_is_not_there_or_not_allowed_is_named_with_what_to_do(
    cluster: Cluster, api: KubeApi
) -> None:
    store = KubernetesSigningKeyStore(cluster, SECRET)
    for answer in (None, Refusal(code=403)):
        api.always = answer
        with pytest.raises(SigningKeyUnusable, match="may get and update it") as error:
            await store.read()
        assert "mesh/convergence-signing-key" in str(error.value)


async def test_what_is_no_base64_is_refused(api: KubeApi, store: KubernetesSigningKeyStore) -> None:
    await api.put("secrets", "mesh", SECRET.name, data={FIELD: "%%"})
    with pytest.raises(SigningKeyUnusable, match="holds no base64"):
        await store.read()


async def test_an_api_server_that_does_not_answer_is_unavailable(
    api: KubeApi, store: KubernetesSigningKeyStore, cluster: Cluster
) -> None:
    authority = KubernetesAuthority(cluster, ACCOUNT, monotonic=lambda: 0.0)
    api.always = Mishap.DROP
    with pytest.raises(AuthUnavailable):
        await store.read()
    with pytest.raises(AuthUnavailable) as error:
        await authority.check(f"Bearer {TOKEN}")
    assert "s3cret" not in str(error.value)


async def test_the_token_of_the_orchestrators_account_passes_and_is_asked_about_once_a_minute(
    api: KubeApi, cluster: Cluster
) -> None:
    now = 100.0
    authority = KubernetesAuthority(cluster, ACCOUNT, monotonic=lambda: now)
    api.tokens[TOKEN] = (ORCHESTRATOR, AUDIENCE)
    await authority.check(f"Bearer {TOKEN}")
    now = 99.0 + KEEP_SECONDS
    await authority.check(f"Bearer {TOKEN}")
    assert api.asked == [f"POST {REVIEWS}"]
    del api.tokens[TOKEN]
    now = 100.0 + KEEP_SECONDS
    with pytest.raises(IdentityTokenInvalid):
        await authority.check(f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    "whose",
    [
        ("system:serviceaccount:mesh:convergence-ingest", AUDIENCE),
        ("system:serviceaccount:elsewhere:convergence-orchestrator", AUDIENCE),
        (ORCHESTRATOR, "https://kubernetes.default.svc"),
        None,
    ],
)
async def test_any_other_token_is_refused_and_not_shown(
    api: KubeApi, cluster: Cluster, whose: tuple[str, str] | None
) -> None:
    if whose:
        api.tokens[TOKEN] = whose
    authority = KubernetesAuthority(cluster, ACCOUNT, monotonic=lambda: 0.0)
    for _ in range(2):
        with pytest.raises(IdentityTokenInvalid) as error:
            await authority.check(f"Bearer {TOKEN}")
        assert "s3cret" not in str(error.value)
    assert len(api.asked) == 2, "a no is not kept"


async def test_an_api_server_that_looks_at_no_audience_makes_nobody_known(
    api: KubeApi, cluster: Cluster
) -> None:
    api.audiences, api.tokens[TOKEN] = False, (ORCHESTRATOR, "https://kubernetes.default.svc")
    with pytest.raises(IdentityTokenInvalid, match="for the audience convergence-auth"):
        await KubernetesAuthority(cluster, ACCOUNT, monotonic=lambda: 0.0).check(f"Bearer {TOKEN}")


async def test_the_tokens_that_are_known_are_few(
    api: KubeApi, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_run_authority, "LARGEST", 1)
    authority = KubernetesAuthority(cluster, ACCOUNT, monotonic=lambda: 0.0)
    api.tokens |= {"first": (ORCHESTRATOR, AUDIENCE), "second": (ORCHESTRATOR, AUDIENCE)}
    for token in ("first", "second", "second", "first"):
        await authority.check(f"Bearer {token}")
    assert len(api.asked) == 3


async def test_without_a_token_nobody_is_asked(api: KubeApi, cluster: Cluster) -> None:
    authority = KubernetesAuthority(cluster, ACCOUNT, monotonic=lambda: 0.0)
    with pytest.raises(CredentialMissing):
        await authority.check("")
    assert api.asked == []


async def test_auth_gives_a_token_of_a_run_to_that_account_and_says_which_right_it_lacks(
    api: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "config")))
    api.tokens[TOKEN] = (ORCHESTRATOR, AUDIENCE)
    request = IssueRunTokenRequest(
        run="tenants/acme/pipelines/p/runs/r", audiences=["ingest", "quality"]
    )
    async with served(tmp_path, orchestrator_credential=f"{SCHEME}{ACCOUNT}") as auth:
        await auth.settled()
        issued = await auth.auth.IssueRunToken(
            request, metadata=(("authorization", f"Bearer {TOKEN}"),)
        )
        assert issued.identity_token
        with refused("UNAUTHENTICATED", "IDENTITY_TOKEN_INVALID"):
            await auth.auth.IssueRunToken(request, metadata=(("authorization", "Bearer other"),))
        api.always = Refusal(code=403)
        with refused("FAILED_PRECONDITION", "CLUSTER_REFUSED") as refusal:
            await auth.auth.IssueRunToken(request, metadata=(("authorization", "Bearer new"),))
    assert "create tokenreviews.authentication.k8s.io" in str(refusal.error)
