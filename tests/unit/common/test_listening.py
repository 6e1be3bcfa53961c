"""Where a server listens: one plain address, and one over TLS beside it."""

from pathlib import Path

import pytest

from libs.common.listening import Listening


def test_an_address_is_served_in_plain_text() -> None:
    assert Listening.parse("[::]:50051") == Listening(plain="[::]:50051")


def test_another_one_beside_it_is_served_over_tls() -> None:
    assert Listening.parse("0.0.0.0:50051,tls://[::]:50443/etc/convergence/tls") == Listening(
        plain="0.0.0.0:50051", tls="[::]:50443", folder=Path("/etc/convergence/tls")
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50051",
        "0.0.0.0:66000",
        "0.0.0.0:50051,",
        "0.0.0.0:50051,0.0.0.0:50052",
        "tls://0.0.0.0:50443/etc/tls",
        "0.0.0.0:50051,tls://0.0.0.0:50443",
        "0.0.0.0:50051,tls://0.0.0.0:66000/etc/tls",
        "0.0.0.0:50051,tls://0.0.0.0:50443/etc/tls,tls://0.0.0.0:1/b",
        "0.0.0.0:50051, tls://0.0.0.0:50443/etc/tls",
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"allowed is host:port, .*tls://host:port/FOLDER"):
        Listening.parse(text)
