"""HTTP that reaches no private address: names are resolved once, and that address is connected to."""

import http.cookiejar
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import httpcore
import httpx

from services.ingest.failures import SourceNotAllowed

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16"))
)
"""Servers of clouds that give credentials to whoever asks, beside those that are link-local."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(httpcore.ConnectError):
    """The name stands for an address that sources may not reach."""


def public(address: str) -> bool:
    """Return whether an IP address is one of the public internet, IPv4 inside IPv6 included."""
    found = _inner(ipaddress.ip_address(address))
    if isinstance(found, ipaddress.IPv6Address) and found.is_site_local:
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def inside(address: str) -> bool:
    """Return whether an address may be reached where the operator allows private ones.

    What is link-local, where metadata servers are, never may.
    """
    found = _inner(ipaddress.ip_address(address))
    return not found.is_link_local and found not in METADATA


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name, in the order that they are to be tried; raise OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class GuardedBackend(httpcore.SyncBackend):
    """Connects to an address that was checked, never by the name again.

    Args:
        allows: Whether an address may be reached; one that may not refuses the whole name.
        resolve: From a name and a port to its addresses.
    """

    def __init__(
        self,
        allows: Callable[[str], bool] = public,
        resolve: Callable[[str, int], Sequence[str]] = resolve,
    ) -> None:
        self._allows = allows
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._checked(host, port)
        for address in addresses[:-1]:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return super().connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    def check(self, host: str, port: int) -> None:
        """Raise AddressRefused or ConnectError if the name may or can not be connected to."""
        self._checked(host, port)

    def _checked(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved") from error
        if not addresses or not all(self._allows(address) for address in addresses):
            raise AddressRefused(f"{host} stands for an address that may not be reached")
        return addresses


def guarded_backend(allow_private_addresses: bool) -> GuardedBackend:
    """Return what connects to the addresses that sources may reach."""
    return GuardedBackend(inside if allow_private_addresses else public)


def open_http(
    *, allow_private_addresses: bool, backend: httpcore.NetworkBackend | None = None
) -> httpx.Client:
    """Return a client for sources. It follows no redirect, keeps no cookie and uses no proxy."""
    refuses_all = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
    transport = httpx.HTTPTransport(trust_env=False)
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001 httpx has no option for a backend
        ssl_context=ssl.create_default_context(),
        network_backend=backend or guarded_backend(allow_private_addresses),
    )
    return httpx.Client(
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        cookies=http.cookiejar.CookieJar(refuses_all),
    )


def check_url(
    url: str,
    *,
    allow_private_addresses: bool,
    field: str = "base_url",
    example: str = "https://api.openai.com/v1",
) -> httpx.URL:
    """Refuse a base address that is no HTTPS address of the internet, before anything is sent."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise _refused(field, "no address", f"allowed is one like {example}") from error
    if parsed.userinfo or parsed.query or parsed.fragment:
        where = f"{parsed.scheme}://{parsed.host}"
        raise _refused(field, where, "allowed is no user, password, query or fragment in it")
    if parsed.scheme != "https" and not allow_private_addresses:
        raise _refused(field, url, "allowed is https://")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise _refused(field, url, f"allowed is one like {example}")
    if not allow_private_addresses and _literal(parsed.host) is False:
        allowed = "allowed is a public address; the operator may allow private ones"
        raise _refused(field, url, allowed)
    return parsed


def _literal(host: str) -> bool | None:
    """Return whether a host that is an IP address is public; None for a name."""
    try:
        return public(host)
    except ValueError:
        return None


def _refused(field: str, found: str, allowed: str) -> SourceNotAllowed:
    return SourceNotAllowed(field, f"found {found!r}; {allowed}", found=found)
