"""Where the API server is found, and what its refusals say."""

from pathlib import Path

import pytest
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException

from libs.common.errors import ServiceError
from libs.kubernetes.cluster import (
    Call,
    Cluster,
    ClusterRefused,
    ClusterUnavailable,
    ObjectStale,
)
from tests.support.kube_api import kubeconfig

CALL = Call(asked="get lease a/b", right="get leases.coordination.k8s.io named b", seconds=1.0)


def test_outside_of_a_cluster_the_kubeconfig_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    monkeypatch.setenv("KUBECONFIG", str(file))
    cluster = Cluster.open()
    assert cluster.address == "http://127.0.0.1:1"
    cluster.close()


@pytest.mark.parametrize("inside", [False, True])
def test_where_none_is_known_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    if inside:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ClusterRefused, match=r"automountServiceAccountToken\), or set KUBECONFIG"):
        Cluster.open()


def meant(status: int, **headers: str) -> ServiceError:
    cluster = Cluster(Configuration(host="http://127.0.0.1:1"))
    error = ApiException(status=status, reason="So")
    error.headers = headers
    error.body = '{"kind": "Status", "message": "said\\n so"}'
    found = cluster.failure(CALL, error)
    cluster.close()
    return found


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (409, ObjectStale, "get lease a/b: said so"),
        (401, ClusterRefused, "mount the token of its service account"),
        (403, ClusterRefused, "account get leases.coordination.k8s.io named b; the server said: said so"),
        (404, ClusterRefused, "there is none; create it"),
        (410, ClusterRefused, "read it again"),
        (422, ClusterRefused, "mend what it names: said so"),
        (429, ClusterUnavailable, "cannot get lease a/b now (429: said so)"),
        (503, ClusterUnavailable, "cannot get lease a/b now (503: said so)"),
        (0, ClusterUnavailable, "cannot get lease a/b now (0: said so)"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_asked_and_what_to_do(
    status: int, kind: type[ServiceError], text: str
) -> None:
    found = meant(status)
    assert type(found) is kind
    assert text in str(found)


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("Thu, 1 Jan", 1.0)])
def test_a_server_that_asks_to_be_left_alone_is(said: str, seconds: float) -> None:
    found = meant(429, **{"Retry-After": said})
    assert isinstance(found, ClusterUnavailable)
    assert found.retry_after == seconds
