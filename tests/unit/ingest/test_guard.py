"""Which addresses a source may reach."""

import httpcore
import pytest

from services.ingest.failures import SourceNotAllowed
from services.ingest.sources.guard import AddressRefused, GuardedBackend, check_url, public


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "104.18.6.192", "2606:4700::6812:6c0", "::ffff:8.8.8.8"]
)
def test_the_public_internet_may_be_reached(address: str) -> None:
    assert public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2001:0:7f00:1::",
    ],
)
def test_no_address_inside_may_be_reached_whatever_its_form(address: str) -> None:
    assert not public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "ftp://api.openai.com/v1",
        "file:///etc/passwd",
        "https://",
        "api.openai.com/v1",
        "",
        "https://127.0.0.1/v1",
        "https://[::1]/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "https://169.254.169.254/latest/meta-data",
        "https://user:hunter2@api.openai.com/v1",
        "https://api.openai.com/v1?key=hunter2",
        "https://api.openai.com/v1#hunter2",
        "https://api.openai.com:hunter2/v1",
    ],
)
def test_an_address_that_is_no_https_address_of_the_internet_is_refused(url: str) -> None:
    with pytest.raises(SourceNotAllowed) as refusal:
        check_url(url, allow_private_addresses=False)
    assert list(refusal.value.violations) == ["base_url"]
    assert "hunter2" not in f"{refusal.value}{refusal.value.metadata}"


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://1.1.1.1/v1"])
def test_an_https_address_of_the_internet_is_allowed(url: str) -> None:
    check_url(url, allow_private_addresses=False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/v1", "https://10.0.0.1/v1", "http://localhost/v1"]
)
def test_the_operator_may_allow_private_addresses_and_plain_http(url: str) -> None:
    check_url(url, allow_private_addresses=True)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "http://user:x@127.0.0.1/v1", "nothing"])
def test_what_is_no_http_address_is_refused_even_then(url: str) -> None:
    with pytest.raises(SourceNotAllowed):
        check_url(url, allow_private_addresses=True)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::ffff:10.0.0.1"], []]
)
def test_a_name_with_any_private_address_is_refused_before_a_connection(
    addresses: list[str],
) -> None:
    backend = GuardedBackend(resolve=lambda host, port: addresses)
    with pytest.raises(AddressRefused, match=r"metadata\.example stands for"):
        backend.connect_tcp("metadata.example", 443)


def test_a_name_that_cannot_be_resolved_is_no_refusal() -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(httpcore.ConnectError, match="cannot be resolved") as failure:
        GuardedBackend(resolve=resolve).connect_tcp("nowhere.example", 443)
    assert not isinstance(failure.value, AddressRefused)
