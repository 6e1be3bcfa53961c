"""What a client's address means: host, port and whether the way there is encrypted."""

import dataclasses
import ipaddress
from typing import Final, Self
from urllib.parse import urlsplit

DEFAULT: Final = "localhost:50051"
ALLOWED: Final = "host:port, https://host[:port] or http://host[:port]"
PORTS: Final = {"https": 443, "http": 80}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an edge is.

    Without a scheme, loopback addresses are called in plain text and all others over TLS, so that
    no key crosses a network in plain text unless `http://` says so.
    """

    target: str
    tls: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that `text` names; raise ValueError saying what is allowed."""
        scheme, _, rest = text.rpartition("://")
        if scheme not in {"", *PORTS} or "/" in rest.rstrip("/"):
            raise ValueError(f"found {text!r}; allowed is {ALLOWED}")
        parts = urlsplit(f"//{rest.rstrip('/')}")
        host, port = parts.hostname, parts.port or PORTS.get(scheme)
        if not host or not port or parts.username is not None:
            raise ValueError(f"found {text!r}; allowed is {ALLOWED}")
        shown = f"[{host}]" if ":" in host else host
        tls = scheme == "https" or (not scheme and not _loopback(host))
        return cls(target=f"{shown}:{port}", tls=tls)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
