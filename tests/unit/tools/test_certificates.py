"""Certificates of a test cluster, as the strictest of its callers judges them."""

import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tools.certificates import Authority


def test_a_server_is_known_at_its_hosts_to_who_trusts_its_authority_alone() -> None:
    authority = Authority("ca")
    pair = authority.issue("server", hosts=["10.250.0.1", "node1.local"])
    own = x509.load_pem_x509_certificate(pair.certificate)
    trusted = Store([x509.load_pem_x509_certificate(authority.own.certificate)])
    policy = PolicyBuilder().store(trusted)
    for host in (x509.IPAddress(ipaddress.ip_address("10.250.0.1")), x509.DNSName("node1.local")):
        policy.build_server_verifier(host).verify(own, [])
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("other.local")).verify(own, [])
    stranger = Store([x509.load_pem_x509_certificate(Authority("ca").own.certificate)])
    with pytest.raises(VerificationError):
        PolicyBuilder().store(stranger).build_server_verifier(x509.DNSName("node1.local")).verify(
            own, []
        )
