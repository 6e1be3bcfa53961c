"""Opens buckets: with a tenant's own key or account, at an address that sources may reach."""

import dataclasses
import datetime as dt
import functools
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import httpcore
import httpx
from google.auth.credentials import Credentials
from obstore.store import GCSStore, S3Store

from libs.common.errors import InvalidRequest
from libs.common.secrets import SecretText
from services.ingest.failures import SourceNotAllowed, SourceUnavailable
from services.ingest.sources.guard import AddressRefused, GuardedBackend, check_url
from services.ingest.stores.addresses import Address, Reach
from services.ingest.stores.credentials import Tokens, acting_as, key_account, s3_credential
from services.ingest.stores.object_store import ObjectStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

GOOGLE: Final = "https://storage.googleapis.com"
REGION: Final = re.compile(r"[a-z]{2}[a-z0-9-]{1,30}")
FIRST_REGION: Final = "us-east-1"
RETRY: Final["RetryConfig"] = {
    "max_retries": 6,
    "retry_timeout": dt.timedelta(seconds=30),
    "backoff": {
        "init_backoff": dt.timedelta(milliseconds=200),
        "max_backoff": dt.timedelta(seconds=5),
        "base": 2,
    },
}
REQUEST: Final = dt.timedelta(seconds=60)
CONNECT: Final = dt.timedelta(seconds=10)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a source's objects are, and what its tenant may do there.

    path: A glob in a bucket.
    region, endpoint: Options of the source; empty if not given.
    secret, secret_name: Gives the source's secret; None and empty without one.
    reach: What the tenant may read, and whom it may act as.
    """

    path: str
    region: str = ""
    endpoint: str = ""
    secret: Callable[[], SecretText] | None = None
    secret_name: str = ""
    reach: Reach = dataclasses.field(default_factory=Reach)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Opens buckets of tenants.

    Every setting that the library would else take from the environment is given, credentials first.

    proxy: Address of a tunnel that checks what is connected to.
    backend: Checks names that are connected to directly.
    http: Asks S3 in which region a bucket is.
    own: The worker's own credentials, as which it may act as a tenant's account.
    certificate: Of an authority that is trusted beside the system's, PEM.
    """

    proxy: str
    backend: GuardedBackend
    http: httpx.Client
    allow_private_addresses: bool
    own: Callable[[], Credentials] | None = None
    certificate: str = ""

    def open(self, place: Place, cancelled: threading.Event) -> ObjectStore:
        """Return the bucket of a source; keys are looked for when it is first asked for something.

        Raises:
            SourceNotAllowed: path or endpoint are none that sources may have.
            InvalidRequest: it has no secret where it needs one, or a wrong region.
        """
        try:
            address = Address.parse(place.path)
        except ValueError as error:
            raise SourceNotAllowed("path", str(error), found=place.path) from error
        if place.region and not REGION.fullmatch(place.region):
            why = f"found {place.region!r}; allowed is one such as eu-west-1"
            raise InvalidRequest({"source.file.region": why})
        self._checked(place.endpoint)
        connect: Callable[[], GCSStore | S3Store] = (
            self._s3(address, place) if address.scheme == "s3" else self._google(address, place)
        )
        return ObjectStore(
            address=address,
            connected=functools.cache(connect),
            prefixes=place.reach.prefixes,
            cancelled=cancelled,
        )

    def _checked(self, endpoint: str) -> httpx.URL:
        """Return the address of an endpoint, empty for none. Raises SourceNotAllowed."""
        if not endpoint:
            return httpx.URL("")
        return check_url(
            endpoint,
            allow_private_addresses=self.allow_private_addresses,
            field="endpoint",
            example="https://objects.example.com",
        )

    def _endpoint(self, endpoint: str) -> str:
        """Return an endpoint without a slash at its end, once its name was looked up and allowed."""
        url = self._checked(endpoint)
        if not endpoint:
            return ""
        try:
            self.backend.check(url.host, url.port or (443 if url.scheme == "https" else 80))
        except AddressRefused as error:
            why = f"{error}; the operator may allow private addresses"
            raise SourceNotAllowed("endpoint", why, found=endpoint) from error
        except httpcore.ConnectError as error:
            raise SourceUnavailable(f"endpoint {endpoint}: {error}", source=endpoint) from error
        return endpoint.rstrip("/")

    def _s3(self, address: Address, place: Place) -> Callable[[], S3Store]:
        secret = place.secret
        if secret is None:
            why = (
                "found none; a source on s3:// needs `secret`: a JSON object with access_key_id and "
                "secret_access_key"
            )
            raise InvalidRequest({"source.secret": why})

        def connect() -> S3Store:
            credential = s3_credential(secret(), place.secret_name)
            given = self._endpoint(place.endpoint)
            region = place.region or (FIRST_REGION if given else self._region_of(address.bucket))
            endpoint = given or _amazon(region)
            return S3Store(
                address.bucket,
                endpoint=endpoint,
                aws_endpoint_url_s3=endpoint,
                region=region,
                default_region=region,
                virtual_hosted_style_request=False,
                skip_signature=False,
                s3_express=False,
                request_payer=False,
                client_options=self._options(endpoint),
                retry_config=RETRY,
                credential_provider=credential,
            )

        return connect

    def _google(self, address: Address, place: Place) -> Callable[[], GCSStore]:
        if place.secret is None and not place.reach.account:
            why = (
                "found none; a source on gs:// needs `secret` (the JSON key of a service account), or "
                "its tenant a service account that a platform admin names"
            )
            raise InvalidRequest({"source.secret": why})

        def connect() -> GCSStore:
            endpoint = self._endpoint(place.endpoint) or GOOGLE
            tokens = self._tokens(place)
            tokens()
            return GCSStore(
                address.bucket,
                base_url=endpoint,
                skip_signature=False,
                client_options=self._options(endpoint),
                retry_config=RETRY,
                credential_provider=tokens,
            )

        return connect

    def _tokens(self, place: Place) -> Tokens:
        if place.secret is not None:
            return Tokens(key_account(place.secret(), place.secret_name), place.secret_name)
        account = place.reach.account
        return Tokens(acting_as(account, self.own), account)

    def _options(self, endpoint: str) -> "ClientConfig":
        """Return how the library connects: through the tunnel, or in plain text to a checked name."""
        plain = endpoint.startswith("http://")
        options: ClientConfig = {
            "allow_http": plain,
            "allow_invalid_certificates": False,
            "proxy_url": self.proxy,
            "proxy_excludes": httpx.URL(endpoint).host if plain else "",
            "connect_timeout": CONNECT,
            "timeout": REQUEST,
            "randomize_addresses": False,
        }
        if self.certificate:
            options["root_certificate"] = self.certificate
        return options

    def _region_of(self, bucket: str) -> str:
        """Return the region of a bucket, which S3 tells whoever asks."""
        try:
            answer = self.http.head(f"{_amazon(FIRST_REGION)}/{bucket}")
        except httpx.HTTPError as error:
            text = f"s3://{bucket}/: S3 does not say its region; give `region`, or try again"
            raise SourceUnavailable(text, source=f"s3://{bucket}/") from error
        region = answer.headers.get("x-amz-bucket-region", "")
        return region if REGION.fullmatch(region) else FIRST_REGION


def _amazon(region: str) -> str:
    china = ".cn" if region.startswith("cn-") else ""
    return f"https://s3.{region}.amazonaws.com{china}"
