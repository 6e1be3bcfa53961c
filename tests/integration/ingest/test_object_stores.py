"""Object stores that refuse, fail and stall, and what a worker reaches and shows them."""

import asyncio
import base64
import dataclasses
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.auth.credentials import Credentials

from libs.common.errors import InvalidRequest, ServiceError
from services.ingest.chunks import Input
from services.ingest.failures import Cancelled
from services.ingest.sources.guard import GuardedBackend, public
from services.ingest.stores import buckets as buckets_module
from services.ingest.stores.addresses import Reach
from services.ingest.stores.buckets import Buckets, Place
from services.ingest.stores.object_store import ObjectStore
from services.ingest.stores.tunnel import open_tunnel
from tests.contracts.store_bench import KEY, RUNNING, account_key, buckets, opened
from tests.integration.ingest.providers import serving
from tests.support import object_servers
from tests.support.certificates import own_certificate

S3_KEY = {
    "access_key_id": "AKIAEXAMPLE",
    "secret_access_key": "s3cr3t/value",
    "session_token": "t0ken",
}
SECRETS = (*S3_KEY.values(), json.loads(KEY)["private_key"][60:90])
ACCESS_DENIED = (
    "<?xml version='1.0'?><Error><Code>{}</Code><Message>arn:aws:iam::1:user/x may not</Message>"
    "<AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId><StringToSign>s3cr3t/value</StringToSign></Error>"
)


@dataclasses.dataclass(slots=True)
class Moody:
    """A server of both protocols that answers every call as `answer` does."""

    address: str = ""
    answer: Callable[[web.Request], Any] = lambda _: web.Response(status=500)
    asked: list[web.Request] = dataclasses.field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answered = self.answer(request)
        if asyncio.iscoroutine(answered):
            answered = await answered
        response: web.StreamResponse = answered
        return response


@pytest.fixture(scope="module")
def server() -> Iterator[Moody]:
    moody = Moody()
    application = web.Application()
    application.router.add_route("*", "/{any:.*}", moody.handle)
    with serving(application) as address:
        moody.address = address
        yield moody


@pytest.fixture
def moody(server: Moody, monkeypatch: pytest.MonkeyPatch) -> Moody:
    """A server whose failures are told at once, since nothing is tried again."""
    monkeypatch.setitem(buckets_module.RETRY, "max_retries", 0)
    server.asked.clear()
    return server


@pytest.fixture
def made() -> Iterator[Buckets]:
    with buckets() as opens:
        yield opens


def store(made: Buckets, moody: Moody, scheme: str = "s3") -> ObjectStore:
    secret = json.dumps(S3_KEY) if scheme == "s3" else KEY
    prefix = f"{scheme}://bucket/acme/"
    return opened(made, f"{prefix}*.csv", moody.address, secret, (prefix,))


def planned(scheme: str = "s3") -> Input:
    return Input(input_id=f"{scheme}://bucket/acme/a.csv", size_bytes=9, version="v1")


def read(of: ObjectStore, input_: Input) -> bytes:
    with of.open(input_).stream(0, 9) as file:
        return file.read(9)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "", "SOURCE_UNAUTHENTICATED"),
        (403, "InvalidAccessKeyId", "SOURCE_UNAUTHENTICATED"),
        (403, "SignatureDoesNotMatch", "SOURCE_UNAUTHENTICATED"),
        (400, "ExpiredToken", "SOURCE_UNAUTHENTICATED"),
        (403, "AccessDenied", "SOURCE_FORBIDDEN"),
        (404, "NoSuchBucket", "SOURCE_NOT_FOUND"),
        (400, "AuthorizationHeaderMalformed", "SOURCE_REFUSED"),
        (301, "PermanentRedirect", "SOURCE_REFUSED"),
        (429, "", "SOURCE_RATE_LIMITED"),
        (503, "SlowDown", "SOURCE_RATE_LIMITED"),
        (503, "ServiceUnavailable", "SOURCE_UNAVAILABLE"),
        (500, "InternalError", "SOURCE_UNAVAILABLE"),
    ],
)
def test_what_a_store_refuses_is_said_by_reason_with_its_place_and_no_secret(
    made: Buckets, moody: Moody, scheme: str, status: int, code: str, reason: str
) -> None:
    text = ACCESS_DENIED.format(code)
    moody.answer = lambda _: web.Response(status=status, text=text, content_type="application/xml")
    with pytest.raises(ServiceError) as refused:
        store(made, moody, scheme).find(f"{scheme}://bucket/acme/*.csv", RUNNING)
    said = f"{refused.value} {refused.value.metadata} {refused.value.__cause__}"
    assert refused.value.reason == reason
    assert f"{scheme}://bucket/acme/: the store answered {status}" in said
    assert refused.value.metadata == {"source": f"{scheme}://bucket/acme/", "status": str(status)}
    assert not [secret for secret in (*SECRETS, "StringToSign", "arn:aws") if secret in said]


@pytest.mark.parametrize("scheme", ["s3", "gs"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [(412, "SOURCE_CHANGED"), (404, "SOURCE_CHANGED"), (403, "SOURCE_FORBIDDEN")],
)
def test_what_is_refused_when_it_is_read_names_the_object(
    made: Buckets, moody: Moody, scheme: str, status: int, reason: str
) -> None:
    moody.answer = lambda _: web.Response(status=status)
    with pytest.raises(ServiceError) as refused:
        read(store(made, moody, scheme), planned(scheme))
    assert (refused.value.reason, refused.value.metadata["source"]) == (
        reason, f"{scheme}://bucket/acme/a.csv",
    )  # fmt: skip


HEAD = {"ETag": '"v1"', "x-goog-generation": "v1", "Last-Modified": "Sat, 07 Nov 2026 03:15:00 GMT"}


@pytest.mark.parametrize("scheme", ["s3", "gs"])
@pytest.mark.parametrize(
    "other",
    [
        {"ETag": '"v2"', "x-goog-generation": "v2"},
        {"Content-Range": "bytes 0-8/10"},
    ],
    ids=["version", "size"],
)
def test_an_answer_of_another_version_is_not_taken_though_the_store_ignores_the_condition(
    made: Buckets, moody: Moody, scheme: str, other: dict[str, str]
) -> None:
    headers = HEAD | {"Content-Range": "bytes 0-8/9"}
    moody.answer = lambda _: web.Response(status=206, body=b"123456789", headers=headers)
    assert read(store(made, moody, scheme), planned(scheme)) == b"123456789"
    moody.answer = lambda _: web.Response(status=206, body=b"123456789", headers=headers | other)
    with pytest.raises(ServiceError) as refused:
        read(store(made, moody, scheme), planned(scheme))
    assert refused.value.reason == "SOURCE_CHANGED"


def test_every_read_asks_for_the_planned_version(made: Buckets, moody: Moody) -> None:
    moody.answer = lambda _: web.Response(status=412)
    for scheme in ("s3", "gs"):
        with pytest.raises(ServiceError):
            read(store(made, moody, scheme), planned(scheme))
    first, second = moody.asked
    assert (first.headers["If-Match"], first.headers["Range"]) == ('"v1"', "bytes=0-8")
    assert (second.query["generation"], second.headers["Range"]) == ("v1", "bytes=0-8")


def test_a_store_that_does_not_answer_is_unavailable(made: Buckets, moody: Moody) -> None:
    nowhere = Moody(address="http://127.0.0.1:9")
    with pytest.raises(ServiceError) as refused:
        store(made, nowhere).find("s3://bucket/acme/*.csv", RUNNING)
    assert refused.value.reason == "SOURCE_UNAVAILABLE"


def test_a_name_that_no_object_may_have_here_is_told(made: Buckets, moody: Moody) -> None:
    listing = (
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>acme//a.csv</Key><Size>1</Size>"
        '<LastModified>2026-11-07T03:15:00.000Z</LastModified><ETag>"x"</ETag></Contents></ListBucketResult>'
    )
    moody.answer = lambda _: web.Response(text=listing, content_type="application/xml")
    with pytest.raises(ServiceError) as refused:
        store(made, moody).find("s3://bucket/acme/*.csv", RUNNING)
    assert refused.value.reason == "SOURCE_NOT_ALLOWED"
    assert "an empty part in its name" in str(refused.value)


def test_a_cancelled_run_waits_for_no_store(made: Buckets, moody: Moody) -> None:
    asked = threading.Event()

    async def stall(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(20)
        return web.Response(status=500)

    moody.answer = stall
    of = store(made, moody)
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            read(of, planned())
        except BaseException as error:  # noqa: BLE001
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert asked.wait(10)
    of.cancelled.set()
    thread.join(5)
    assert isinstance(outcome[0], Cancelled)


LEAKS = {
    "AWS_ACCESS_KEY_ID": "AKIAPOD",
    "AWS_SECRET_ACCESS_KEY": "pod",
    "AWS_SESSION_TOKEN": "pod-token",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_REGION": "pod-1",
    "AWS_DEFAULT_REGION": "pod-1",
    "AWS_SKIP_SIGNATURE": "true",
    "AWS_REQUEST_PAYER": "true",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/etc/hostname",
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/pod",
    "GOOGLE_APPLICATION_CREDENTIALS": "/etc/hostname",
    "GOOGLE_BEARER_TOKEN": "pod-token",
    "GOOGLE_SKIP_SIGNATURE": "true",
    "GOOGLE_BASE_URL": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def test_nothing_of_the_pods_environment_is_shown_or_used(
    made: Buckets, moody: Moody, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    of_the_pod = tmp_path / "pod.json"
    of_the_pod.write_text(account_key().replace("reader@", "pod@"))
    for name, value in {**LEAKS, "GOOGLE_SERVICE_ACCOUNT": str(of_the_pod)}.items():
        monkeypatch.setenv(name, value)
    moody.answer = lambda _: web.Response(status=412)
    for scheme in ("s3", "gs"):
        with pytest.raises(ServiceError) as refused:
            read(store(made, moody, scheme), planned(scheme))
        assert refused.value.reason == "SOURCE_CHANGED"
    amazon, google = moody.asked
    assert "Credential=AKIAEXAMPLE/" in amazon.headers["Authorization"]
    assert "/us-east-1/s3/" in amazon.headers["Authorization"]
    assert amazon.headers["x-amz-security-token"] == "t0ken"
    assert "x-amz-request-payer" not in amazon.headers
    assert (amazon.path, google.path) == ("/bucket/acme/a.csv", "/bucket/acme/a.csv")
    shown = google.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(shown, options={"verify_signature": False})
    assert claims["iss"] == "reader@acme-1.iam.gserviceaccount.com"
    leaks = ("AKIAPOD", "pod-token", "pod@")
    headers = " ".join(str(request.headers) for request in moody.asked)
    assert not [value for value in leaks if value in headers]


def test_a_key_of_google_signs_its_tokens_itself_to_read_only(made: Buckets, moody: Moody) -> None:
    moody.answer = lambda _: web.Response(status=412)
    with pytest.raises(ServiceError):
        read(store(made, moody, "gs"), planned("gs"))
    token = moody.asked[0].headers["Authorization"].removeprefix("Bearer ")
    private: Any = load_pem_private_key(json.loads(KEY)["private_key"].encode(), None)
    claims = jwt.decode(
        token, private.public_key(), algorithms=["RS256"], options={"verify_aud": False}
    )
    assert claims["iss"] == "reader@acme-1.iam.gserviceaccount.com"
    assert claims["scope"] == "https://www.googleapis.com/auth/devstorage.read_only"


class Own(Credentials):  # type: ignore[misc,unused-ignore]
    """The worker's own credentials, which need no renewing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = "worker"

    def refresh(self, request: Any) -> None:
        raise AssertionError

    @property
    def valid(self) -> bool:
        return True


def place(path: str, **fields: Any) -> Place:
    return Place(path=path, **fields)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, "SOURCE_CHANGED"), (403, "SOURCE_UNAUTHENTICATED")],
)
def test_without_a_secret_the_worker_acts_as_the_tenants_account(
    moody: Moody, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    account = "reader@acme-1.iam.gserviceaccount.com"

    def answer(request: web.Request) -> web.Response:
        if "generateAccessToken" not in request.path:
            return web.Response(status=412)
        said = {"accessToken": "tenants-own", "expireTime": "2999-01-01T00:00:00Z"}
        return web.json_response(said, status=status)

    moody.answer = answer
    monkeypatch.setattr(
        "google.auth.iam._IAM_ENDPOINT", f"{moody.address}/{{}}:generateAccessToken"
    )
    with buckets(own=Own) as made:
        of = made.open(
            place(
                "gs://bucket/acme/*",
                endpoint=moody.address,
                reach=Reach(prefixes=("gs://bucket/acme/",), account=account),
            ),
            threading.Event(),
        )
        with pytest.raises(ServiceError) as refused:
            read(of, planned("gs"))
    assert refused.value.reason == reason
    asked = moody.asked[0]
    assert account in asked.path
    assert asked.headers["Authorization"] == "Bearer worker"
    shown = [r.headers["Authorization"] for r in moody.asked[1:]]
    assert shown == (["Bearer tenants-own"] if status == 200 else [])


@pytest.mark.parametrize(
    ("path", "account"),
    [
        ("s3://bucket/x", ""),
        ("s3://bucket/x", "a@p.iam.gserviceaccount.com"),
        ("gs://bucket/x", ""),
    ],
)
def test_without_secret_and_account_a_source_is_refused_by_name(
    made: Buckets, path: str, account: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        made.open(place(path, reach=Reach(account=account)), threading.Event())
    assert "found none" in refused.value.violations["source.secret"]


@pytest.mark.parametrize("scheme", ["s3", "gs"])
@pytest.mark.parametrize(
    "secret",
    [
        "",
        "AKIA:secret",
        "[]",
        "{}",
        '{"access_key_id": "s3cr3t", "secret_access_key": ""}',
        '{"access_key_id": "s3cr3t", "secret_access_key": "x", "endpoint": "x"}',
        '{"type": "authorized_user", "refresh_token": "s3cr3t"}',
        '{"type": "service_account", "private_key": "s3cr3t", "client_email": "x", "token_uri": "x"}',
    ],
)
def test_a_secret_that_is_no_key_is_refused_and_not_shown(
    made: Buckets, moody: Moody, scheme: str, secret: str
) -> None:
    of = opened(made, f"{scheme}://bucket/x", moody.address, secret, (f"{scheme}://bucket/",))
    with pytest.raises(ServiceError) as refused:
        of.find(f"{scheme}://bucket/x", RUNNING)
    assert refused.value.reason == "SOURCE_UNAUTHENTICATED"
    assert "secret store_key is no key for the store; allowed is" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)
    assert not moody.asked


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("http://objects.example.com", "allowed is https://"),
        ("https://127.0.0.1", "allowed is a public address"),
        ("https://169.254.169.254/latest", "allowed is a public address"),
        ("https://[fd00:ec2::254]", "allowed is a public address"),
        ("https://user:pass@objects.example.com", "no user, password"),
        ("ftp://objects.example.com", "allowed is https://"),
    ],
)
def test_an_endpoint_inside_is_refused_before_anything_is_asked(endpoint: str, why: str) -> None:
    with buckets(allow_private_addresses=False) as made, pytest.raises(ServiceError) as refused:
        opened(made, "s3://bucket/x", endpoint, json.dumps(S3_KEY), ("s3://bucket/",))
    assert refused.value.reason == "SOURCE_NOT_ALLOWED"
    assert refused.value.metadata["source"] == "endpoint"
    assert why in str(refused.value)
    assert "pass" not in str(refused.value).replace("password", "")


def test_an_endpoint_whose_name_stands_for_an_address_inside_is_refused() -> None:
    backend = GuardedBackend(public, lambda host, port: ["169.254.169.254"])
    with buckets(allow_private_addresses=False, backend=backend) as made:
        of = opened(
            made,
            "s3://bucket/x",
            "https://objects.example.com",
            json.dumps(S3_KEY),
            ("s3://bucket/",),
        )
        with pytest.raises(ServiceError) as refused:
            of.find("s3://bucket/x", RUNNING)
    assert refused.value.reason == "SOURCE_NOT_ALLOWED"
    assert "may not be reached" in str(refused.value)


def test_metadata_servers_are_not_reached_even_where_private_addresses_are() -> None:
    with buckets(allow_private_addresses=True) as made:
        for address in (
            "http://169.254.169.254",
            "http://[fd00:ec2::254]",
            "http://100.100.100.200",
        ):
            of = opened(made, "s3://bucket/x", address, json.dumps(S3_KEY), ("s3://bucket/",))
            with pytest.raises(ServiceError) as refused:
                of.find("s3://bucket/x", RUNNING)
            assert refused.value.reason == "SOURCE_NOT_ALLOWED"


def test_the_library_connects_to_nothing_that_the_tunnel_does_not_allow() -> None:
    """The name is a public one when it is checked, and another when it is connected to."""
    answers = iter([["8.8.8.8"]])
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers, ["169.254.169.254"])

    backend = GuardedBackend(public, rebinding)
    with (
        open_tunnel(backend) as tunnel,
        buckets(allow_private_addresses=False, backend=backend, proxy=tunnel.url) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setitem(buckets_module.RETRY, "max_retries", 0)
        of = opened(
            made,
            "s3://bucket/x",
            "https://objects.example.com",
            json.dumps(S3_KEY),
            ("s3://bucket/",),
        )
        with pytest.raises(ServiceError) as refused:
            of.find("s3://bucket/x", RUNNING)
    assert refused.value.reason == "SOURCE_UNAVAILABLE"
    assert asked == ["objects.example.com"] * 2


def test_the_tunnel_serves_its_own_process_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as target:
        port = target.getsockname()[1]
        with open_tunnel(GuardedBackend(lambda _: True)) as tunnel:
            password = tunnel.url.removeprefix("http://worker:").partition("@")[0]
            near = tunnel.url.rpartition(":")[2]
            right = base64.b64encode(f"worker:{password}".encode()).decode()
            wrong = base64.b64encode(b"worker:guessed").decode()
            connect = f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n"
            assert _ask(near, f"{connect}\r\n") == "407"
            assert _ask(near, f"{connect}Proxy-Authorization: Basic {wrong}\r\n\r\n") == "407"
            get = "GET http://127.0.0.1/ HTTP/1.1\r\n"
            assert _ask(near, f"{get}Proxy-Authorization: Basic {right}\r\n\r\n") == "405"
            assert _ask(near, f"{connect}Proxy-Authorization: Basic {right}\r\n\r\n") == "200"
            assert _ask(near, "x" * 20_000) == ""


def _ask(port: str, text: str) -> str:
    """Return the status that the tunnel answers, empty if it answers nothing."""
    with socket.create_connection(("127.0.0.1", int(port)), 5) as near:
        near.sendall(text.encode())
        try:
            return near.recv(100).decode()[9:12]
        except ConnectionError:
            return ""


def test_tls_goes_through_the_tunnel_untouched(tmp_path: Path) -> None:
    authority, certificate, key = own_certificate(tmp_path)
    data = random.Random(3).randbytes(9 * 1024 * 1024 + 7)
    connected: list[str] = []

    def counting(host: str, port: int) -> list[str]:
        connected.append(host)
        return [host]

    backend = GuardedBackend(lambda _: True, counting)
    with (
        object_servers.s3(
            "-s", "-c", str(certificate), "-k", str(key), verify=str(authority)
        ) as server,
        open_tunnel(backend) as tunnel,
        buckets(backend=backend, proxy=tunnel.url, certificate=authority.read_text()) as made,
    ):
        client = server.client(str(authority))
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="acme/a.bin", Body=data)
        secret = json.dumps(server.key)
        of = opened(made, "s3://bucket/x", server.address, secret, ("s3://bucket/acme/",))
        (found,) = of.find("s3://bucket/acme/*", RUNNING)
        with of.open(found).stream(0, len(data)) as file:
            assert file.read() == data
    assert len(connected) > 1, "once when it is opened, then for each connection of the library"
    assert set(connected) == {"127.0.0.1"}
