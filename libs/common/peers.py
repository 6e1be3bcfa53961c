"""Which address a call comes from, behind proxies that are trusted and others that are not."""

import ipaddress
import urllib.parse
from collections.abc import Sequence
from typing import Annotated, Final

import pydantic

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FORWARDED: Final = "x-forwarded-for"
LOOPBACK: Final = "127.0.0.0/8,::1/128"


def networks(text: str) -> tuple[Network, ...]:
    """Read networks parted by commas, such as `127.0.0.0/8,::1/128`; raise ValueError for others."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _checked(text: str) -> str:
    networks(text)
    return text


Proxies = Annotated[str, pydantic.AfterValidator(_checked)]
"""A setting: the networks of proxies, as `networks` reads them."""


def host_of(peer: str) -> str:
    """Return the host of a gRPC peer (`ipv4:127.0.0.1:5000`), or any other text as it is."""
    kind, _, rest = urllib.parse.unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else peer


def address_of(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Return whom to count failures against: the hop that a trusted proxy appended, else the peer.

    `forwarded` is the value of `x-forwarded-for`; from anybody but a trusted proxy it means nothing.
    """
    host = host_of(peer)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if any(address in network for network in trusted):
        return forwarded.rpartition(",")[2].strip() or host
    return host
