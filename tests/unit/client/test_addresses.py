"""Addresses of an edge."""

import pytest

from libs.client.addresses import Address


@pytest.mark.parametrize(
    ("text", "target", "tls"),
    [
        ("localhost:50051", "localhost:50051", False),
        ("127.0.0.1:1", "127.0.0.1:1", False),
        ("[::1]:50051", "[::1]:50051", False),
        ("convergence.example.com:443", "convergence.example.com:443", True),
        ("10.0.0.1:50051", "10.0.0.1:50051", True),
        ("https://convergence.example.com", "convergence.example.com:443", True),
        ("https://localhost:8443/", "localhost:8443", True),
        ("http://orchestrator:50051", "orchestrator:50051", False),
    ],
)
def test_only_loopback_and_http_are_called_in_plain_text(text: str, target: str, tls: bool) -> None:
    assert Address.parse(text) == Address(target=target, tls=tls)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "ftp://x:1", "localhost:port", "http://x:1/path", "user@host:1", ":50051"],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"allowed is host:port|could not be cast"):
        Address.parse(text)
