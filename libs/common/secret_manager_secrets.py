"""Secrets from Cloud Secret Manager: `{tenant}-{name}`, newest version."""

import threading
from typing import Final

import google_crc32c
import grpc
from google.api_core import exceptions, retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from libs.common.secrets import SecretNotFound, SecretStoreUnavailable, SecretText

SECONDS: Final = 10.0
AGAIN: Final = retry.Retry(
    predicate=retry.if_exception_type(exceptions.ServiceUnavailable),
    initial=0.1,
    maximum=2.0,
    timeout=SECONDS,
)


class SecretManagerSecrets:
    """Secrets of one project.

    Args:
        project: Google Cloud project.
        address: `host:port` of a server in plain text; empty means Google's.
    """

    keep_seconds: Final = 120.0

    def __init__(self, project: str, address: str = "") -> None:
        self._project = project
        self._address = address
        self._opening = threading.Lock()
        self._client: secretmanager_v1.SecretManagerServiceClient | None = None

    def describe(self, tenant: str, name: str) -> str:
        return f"Secret Manager's {tenant}-{name} in project {self._project}"

    def find(self, tenant: str, name: str) -> SecretText | None:
        where = self.describe(tenant, name)
        version = f"projects/{self._project}/secrets/{tenant}-{name}/versions/latest"
        try:
            response = self._open().access_secret_version(
                name=version, retry=AGAIN, timeout=SECONDS
            )
        except exceptions.NotFound:
            return None
        except exceptions.FailedPrecondition as error:
            text = f"{where} has a newest version that is disabled or destroyed; add a version"
            raise SecretNotFound(text, secret=name) from error
        except exceptions.PermissionDenied as error:
            text = f"{where} may not be read; give the service roles/secretmanager.secretAccessor"
            raise SecretNotFound(text, secret=name) from error
        except (exceptions.GoogleAPIError, GoogleAuthError) as error:
            text = f"{where} cannot be read now"
            raise SecretStoreUnavailable(text, secret=name) from error
        payload = response.payload
        if "data_crc32c" in payload and payload.data_crc32c != google_crc32c.value(payload.data):
            text = f"{where} was damaged on the way: its checksum differs"
            raise SecretStoreUnavailable(text, secret=name)
        return SecretText.parse(payload.data, where, name)

    def _open(self) -> secretmanager_v1.SecretManagerServiceClient:
        with self._opening:
            if self._client is None and self._address:
                channel = grpc.insecure_channel(self._address)
                transport = SecretManagerServiceGrpcTransport(channel=channel)
                self._client = secretmanager_v1.SecretManagerServiceClient(transport=transport)
            self._client = self._client or secretmanager_v1.SecretManagerServiceClient()
            return self._client
