"""HTTP that reaches no private address: resolve once, connect to that address, every redirect too."""

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore
import httpx

from services.ingest.failures import SourceNotAllowed

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0


class AddressRefused(httpcore.ConnectError):
    """The name stands for an address that sources may not reach."""


def public(address: str) -> bool:
    """Return whether an IP address is one of the public internet, IPv4 inside IPv6 included."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast


class GuardedBackend(httpcore.SyncBackend):
    """Connects by the address that was checked, never by the name again."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved") from error
        addresses = [str(item[4][0]) for item in found]
        if not addresses or not all(public(address) for address in addresses):
            raise AddressRefused(f"{host} stands for an address that is not public")
        return super().connect_tcp(addresses[0], port, timeout, local_address, socket_options)


def open_http(*, allow_private_addresses: bool) -> httpx.Client:
    """Return a client for sources. Redirects are followed only where the guard lets them."""
    limits = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    if allow_private_addresses:
        return httpx.Client(timeout=limits, trust_env=False)
    transport = httpx.HTTPTransport(trust_env=False)
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001 httpx has no option for a backend
        ssl_context=ssl.create_default_context(), network_backend=GuardedBackend()
    )
    return httpx.Client(timeout=limits, transport=transport, trust_env=False)


def check_url(url: str, *, allow_private_addresses: bool) -> None:
    """Refuse a base address that is no HTTPS address of the internet, before anything is sent."""
    parsed = httpx.URL(url)
    if parsed.scheme != "https" and not allow_private_addresses:
        why = f"found {url!r}; allowed is https://"
        raise SourceNotAllowed("base_url", why, found=url)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        why = f"found {url!r}; allowed is an address like https://api.openai.com/v1"
        raise SourceNotAllowed("base_url", why, found=url)
    try:
        literal = ipaddress.ip_address(parsed.host)
    except ValueError:
        return
    if not allow_private_addresses and not public(str(literal)):
        why = f"{parsed.host} is no public address; the operator may allow private ones"
        raise SourceNotAllowed("base_url", why, found=url)
