"""Certificates of a new cluster: two authorities, and who they vouch for."""

import base64
import datetime as dt
import ipaddress
import json
import pathlib
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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


class Authority:
    """Issues certificates for a year; its own stands in `PKI`."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name, "")
        certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_signing_usage(), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = _keep(name, certificate, self._key)

    def issue(self, name: str, user: str, group: str = "", hosts: Iterable[str] = ()) -> None:
        """Write `name`.crt and `name`.key for a server at `hosts` and a client as `user`."""
        key = ec.generate_private_key(ec.SECP256R1())
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            _builder(_subject(user, group), self._name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        )
        if names := [_host(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        _keep(name, builder.sign(self._key, hashes.SHA256()), key)


def issue_all() -> None:
    """Write all certificates, the kubeconfigs and the key that signs service accounts' tokens."""
    PKI.mkdir(parents=True, mode=0o700)
    authority = Authority("ca")
    names = [DNS.rsplit(".", cut)[0] for cut in (0, 2, 3, 4)]
    hosts = [API_SERVICE_IP, NODE_IP, "127.0.0.1", DNS, *names[1:]]
    authority.issue("apiserver", "kube-apiserver", hosts=hosts)
    authority.issue("kubelet-server", NODE, hosts=[NODE_IP, NODE])
    Authority("front-proxy-ca").issue("front-proxy-client", "front-proxy-client")
    for name, (user, group) in CLIENTS.items():
        authority.issue(name, user, group)
        _write_kubeconfig(name, authority.pem)
    accounts = ec.generate_private_key(ec.SECP256R1())
    (PKI / "sa.key").write_bytes(_private(accounts))
    (PKI / "sa.pub").write_bytes(
        accounts.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _write_kubeconfig(name: str, authority: bytes) -> None:
    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    config = {
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
                    "client-certificate-data": encoded((PKI / f"{name}.crt").read_bytes()),
                    "client-key-data": encoded((PKI / f"{name}.key").read_bytes()),
                },
            }
        ],
    }
    file = RUN / f"{name}.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=365))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signing_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(user: str, group: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _keep(name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (PKI / f"{name}.crt").write_bytes(pem)
    secret: pathlib.Path = PKI / f"{name}.key"
    secret.touch(mode=0o600)
    secret.write_bytes(_private(key))
    return pem
