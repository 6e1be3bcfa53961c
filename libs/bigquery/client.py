"""Where BigQuery is, and the two clients that speak to it."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

import google.auth
import google.auth.credentials
import google.auth.impersonated_credentials
import grpc
import requests.adapters
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import (
    BigQueryWriteGrpcTransport,
)

from libs.common.settings import ServiceSettings

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_HTTP_CONNECTIONS: Final = 32
_EMBEDDED_AT_ONCE: Final = 4
"""Calls that a server with few processors is asked at once: more would wait there, and not here."""

_STORAGE_HOST: Final = "bigquerystorage.googleapis.com"
_RECONNECT: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_KEEPALIVE: Final = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """Which BigQuery, and which project and location in it.

    Both endpoints empty: Google's own. Else both stand for a server that asks for no credentials:
    `rest_endpoint` is a URL (`http://127.0.0.1:9050`), `storage_endpoint` is `host:port`.
    """

    project: str
    location: str
    rest_endpoint: str = ""
    storage_endpoint: str = ""

    def __post_init__(self) -> None:
        """Refuse half an endpoint: REST calls and appends must reach the same BigQuery."""
        if bool(self.rest_endpoint) != bool(self.storage_endpoint):
            raise ValueError("rest_endpoint and storage_endpoint: give both or neither")

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self:
        """Return the BigQuery that a service's settings name."""
        return cls(
            project=settings.bigquery_project,
            location=settings.bigquery_location,
            rest_endpoint=settings.bigquery_endpoint,
            storage_endpoint=settings.bigquery_storage_endpoint,
        )

    @property
    def embedded(self) -> bool:
        """Whether this is a server of its own address rather than Google's."""
        return bool(self.rest_endpoint)


class BigQuery:
    """A connection's clients, opened when first used and shared by all threads until `close`."""

    def __init__(self, connection: Connection, *, act_as: str = "") -> None:
        self.connection: Final = connection
        at_once = _EMBEDDED_AT_ONCE if connection.embedded else _HTTP_CONNECTIONS
        self.threads: Final = ThreadPoolExecutor(at_once, "bigquery")
        """For calls of work that may be very much at once, so that nothing else waits for it."""
        self._act_as: Final = act_as
        self._lock: Final = threading.Lock()
        self._credentials: google.auth.credentials.Credentials | None = None
        self._rest: bigquery.Client | None = None
        self._channel: grpc.Channel | None = None
        self._write: BigQueryWriteClient | None = None

    @property
    def endpoint(self) -> str:
        """What to call this BigQuery in a message."""
        return self.connection.rest_endpoint or "bigquery.googleapis.com"

    @property
    def storage_endpoint(self) -> str:
        """What to call this BigQuery's Storage Write API in a message."""
        return self.connection.storage_endpoint or _STORAGE_HOST

    @property
    def rest(self) -> bigquery.Client:
        """Return the client of datasets, tables and jobs."""
        with self._lock:
            if self._rest is None:
                self._rest = self._open_rest()
            return self._rest

    @property
    def write(self) -> BigQueryWriteClient:
        """Return the client of the Storage Write API."""
        with self._lock:
            if self._write is None:
                self._channel = self._open_channel()
                transport = BigQueryWriteGrpcTransport(channel=self._channel)
                self._write = BigQueryWriteClient(transport=transport)  # type: ignore[no-untyped-call]
            return self._write

    def close(self) -> None:
        """Close what was opened; appends in flight fail. The next use opens anew."""
        with self._lock:
            if self._rest is not None:
                self._rest.close()  # type: ignore[no-untyped-call]
            if self._channel is not None:
                self._channel.close()
            self._rest = self._write = self._channel = None

    def __enter__(self) -> Self:
        """Return itself; leaving the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _open_rest(self) -> bigquery.Client:
        credentials = self._identity()
        session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=_HTTP_CONNECTIONS)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        at = self.connection
        return bigquery.Client(
            project=at.project,
            location=at.location,
            credentials=credentials,
            client_options={"api_endpoint": at.rest_endpoint} if at.embedded else None,
            _http=session,
        )

    def _open_channel(self) -> grpc.Channel:
        if self.connection.embedded:
            return grpc.insecure_channel(self.connection.storage_endpoint, options=_RECONNECT)
        return BigQueryWriteGrpcTransport.create_channel(
            _STORAGE_HOST, credentials=self._identity(), options=(*_RECONNECT, *_KEEPALIVE)
        )

    def _identity(self) -> google.auth.credentials.Credentials:
        if self._credentials is None:
            self._credentials = _credentials(self.connection, self._act_as)
        return self._credentials


def connect(connection: Connection, *, act_as: str = "") -> BigQuery:
    """Return BigQuery at `connection`; nothing is sent or read yet.

    `act_as` is the e-mail of a service account to impersonate. A server that asks for no
    credentials knows no accounts, so there `act_as` has no effect.
    """
    return BigQuery(connection, act_as=act_as)


def _credentials(at: Connection, act_as: str) -> google.auth.credentials.Credentials:
    if at.embedded:
        return google.auth.credentials.AnonymousCredentials()  # type: ignore[no-untyped-call]
    own, _ = google.auth.default(scopes=_SCOPES)
    if not act_as:
        return own
    return google.auth.impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=own, target_principal=act_as, target_scopes=list(_SCOPES)
    )


REPEAT_SECONDS: Final = 2.0
"""How long a call is repeated here: a dropped connection is mended, a longer absence is the caller's."""


def rest_retry(timeout: float) -> Retry:
    """Repeat a REST call that BigQuery dropped or was too busy for, some three times at most."""
    quick = bigquery.DEFAULT_RETRY.with_delay(initial=0.1, maximum=1.0, multiplier=2.0)
    return quick.with_timeout(min(timeout, REPEAT_SECONDS))


def write_retry(timeout: float) -> Retry:
    """Repeat a unary Storage Write call that the service dropped, some three times at most."""
    return Retry(
        predicate=if_exception_type(
            exceptions.ServiceUnavailable, exceptions.Aborted, exceptions.Cancelled
        ),
        initial=0.1,
        maximum=1.0,
        multiplier=2.0,
        timeout=min(timeout, REPEAT_SECONDS),
    )
