"""Secrets from Cloud Secret Manager: `{tenant}-{name}`, newest version."""

from typing import Final

import grpc
from google.api_core import exceptions
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from libs.common.secrets import SecretStoreUnavailable, SecretText

SECONDS: Final = 10.0


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
        self._client: secretmanager_v1.SecretManagerServiceClient | None = None

    def describe(self, tenant: str, name: str) -> str:
        return f"Secret Manager's {tenant}-{name} in project {self._project}"

    def find(self, tenant: str, name: str) -> SecretText | None:
        version = f"projects/{self._project}/secrets/{tenant}-{name}/versions/latest"
        try:
            response = self._open().access_secret_version(name=version, timeout=SECONDS)
        except (exceptions.NotFound, exceptions.FailedPrecondition):
            return None
        except exceptions.GoogleAPICallError as error:
            text = f"{self.describe(tenant, name)} cannot be read now"
            raise SecretStoreUnavailable(text, secret=name) from error
        return SecretText(response.payload.data.decode().strip())

    def _open(self) -> secretmanager_v1.SecretManagerServiceClient:
        if self._client is None and self._address:
            transport = SecretManagerServiceGrpcTransport(
                channel=grpc.insecure_channel(self._address)
            )
            self._client = secretmanager_v1.SecretManagerServiceClient(transport=transport)
        self._client = self._client or secretmanager_v1.SecretManagerServiceClient()
        return self._client
