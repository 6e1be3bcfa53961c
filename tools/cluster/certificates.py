"""Certificates of a new cluster: two authorities, and who they vouch for."""

import base64
import json
import pathlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tools.certificates import Authority, Pair, private
from tools.cluster.places import API, API_SERVICE_IP, NODE, NODE_IP, PKI, RUN

DNS = "kubernetes.default.svc.cluster.local"
CLIENTS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
}
"""Who has a kubeconfig: common name and organization, which are user and group."""


def issue_all() -> None:
    """Write all certificates, the kubeconfigs and the key that signs service accounts' tokens."""
    PKI.mkdir(parents=True, mode=0o700)
    authority, front_proxy = Authority("ca"), Authority("front-proxy-ca")
    names = [DNS.rsplit(".", cut)[0] for cut in (0, 2, 3, 4)]
    hosts = [API_SERVICE_IP, NODE_IP, "127.0.0.1", DNS, *names[1:]]
    pairs = {
        "ca": authority.own,
        "apiserver": authority.issue("kube-apiserver", hosts=hosts),
        "kubelet-server": authority.issue(NODE, hosts=[NODE_IP, NODE]),
        "front-proxy-ca": front_proxy.own,
        "front-proxy-client": front_proxy.issue("front-proxy-client"),
    }
    clients = {name: authority.issue(user, group) for name, (user, group) in CLIENTS.items()}
    for name, pair in {**pairs, **clients}.items():
        (PKI / f"{name}.crt").write_bytes(pair.certificate)
        _write_secret(PKI / f"{name}.key", pair.key)
    for name, pair in clients.items():
        config = _kubeconfig(name, authority.own.certificate, pair)
        _write_secret(RUN / f"{name}.kubeconfig", json.dumps(config).encode())
    accounts = ec.generate_private_key(ec.SECP256R1())
    _write_secret(PKI / "sa.key", private(accounts))
    (PKI / "sa.pub").write_bytes(
        accounts.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _kubeconfig(name: str, authority: bytes, pair: Pair) -> object:
    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        "clusters": [
            {
                "name": "test",
                "cluster": {"server": API, "certificate-authority-data": encoded(authority)},
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": encoded(pair.certificate),
                    "client-key-data": encoded(pair.key),
                },
            }
        ],
    }


def _write_secret(file: pathlib.Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)
