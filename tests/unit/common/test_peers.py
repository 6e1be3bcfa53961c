"""Whom failures are counted against."""

import pytest

from libs.common.peers import address_of, host_of, networks

TRUSTED = networks("127.0.0.0/8, ::1/128,10.1.0.0/16")


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.0.0.1:5000", "10.0.0.1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("ipv6:[2001:db8::2]:1", "2001:db8::2"),
        ("unix:", "unix:"),
        ("10.0.0.1", "10.0.0.1"),
        ("", ""),
    ],
)
def test_the_port_of_a_peer_does_not_count(peer: str, host: str) -> None:
    assert host_of(peer) == host


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("ipv4:127.0.0.1:1", "203.0.113.9", "203.0.113.9"),
        ("ipv4:127.0.0.1:1", "forged, 203.0.113.9", "203.0.113.9"),
        ("ipv4:127.0.0.1:1", "", "127.0.0.1"),
        ("ipv6:[::1]:1", "198.51.100.7", "198.51.100.7"),
        ("ipv4:10.1.2.3:1", "198.51.100.7", "198.51.100.7"),
        ("ipv4:198.51.100.1:1", "127.0.0.1", "198.51.100.1"),
        ("unix:", "198.51.100.7", "unix:"),
    ],
)
def test_only_a_trusted_proxy_says_for_whom_it_calls(
    peer: str, forwarded: str, expected: str
) -> None:
    assert address_of(peer, forwarded, TRUSTED) == expected


def test_what_is_no_network_is_refused() -> None:
    assert networks("") == ()
    with pytest.raises(ValueError, match="not-a-network"):
        networks("not-a-network")
