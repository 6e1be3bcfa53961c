"""What a tenant's sources show object stores: keys from its own secrets, tokens of its own account."""

import datetime as dt
import json
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import google.auth
import requests
from google.auth import impersonated_credentials
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from libs.common.secrets import SecretText
from services.ingest.failures import SourceUnauthenticated, SourceUnavailable

if TYPE_CHECKING:
    from obstore.store import GCSCredential, S3Credential

READ: Final = "https://www.googleapis.com/auth/devstorage.read_only"
CLOUD: Final = "https://www.googleapis.com/auth/cloud-platform"
RENEW_BEFORE: Final = dt.timedelta(minutes=5)
TOKEN_SECONDS: Final = 3600
S3_FIELDS: Final = frozenset({"access_key_id", "secret_access_key", "session_token"})


def s3_credential(secret: SecretText, name: str) -> "Callable[[], S3Credential]":
    """Return what gives S3 its key. Raises SourceUnauthenticated for a secret that is none."""
    found = _json(secret, name)
    strings = all(isinstance(value, str) and value for value in found.values())
    if not strings or not S3_FIELDS >= set(found) >= S3_FIELDS - {"session_token"}:
        raise _no_key(
            name,
            "a JSON object with access_key_id, secret_access_key and, for a temporary key, session_token",
        )

    def give() -> "S3Credential":
        return {
            "access_key_id": found["access_key_id"],
            "secret_access_key": found["secret_access_key"],
            "token": found.get("session_token"),
            "expires_at": None,
        }

    return give


def key_account(secret: SecretText, name: str) -> Credentials:
    """Return the service account of a key's JSON, whose tokens it signs itself: nobody is asked.

    Raises SourceUnauthenticated for a secret that is none.
    """
    found = _json(secret, name)
    if found.get("type") != "service_account":
        raise _no_key(name, "the JSON key of a service account")
    made: Any = service_account.Credentials
    try:
        account: Any = made.from_service_account_info(found, scopes=[READ])
    except (ValueError, TypeError, GoogleAuthError):
        raise _no_key(name, "the JSON key of a service account, as it was downloaded") from None
    signing: Credentials = account.with_always_use_jwt_access(True)
    return signing


def acting_as(account: str, own: Callable[[], Credentials] | None = None) -> Credentials:
    """Return a tenant's account, as which the worker's own may act: its only use for a source.

    own: The worker's own credentials; those of its environment if not given.

    Raises SourceUnauthenticated if it has none.
    """
    made: Any = impersonated_credentials.Credentials
    try:
        acting: Credentials = made(
            source_credentials=own() if own else google.auth.default(scopes=[CLOUD])[0],
            target_principal=account,
            target_scopes=[READ],
            lifetime=TOKEN_SECONDS,
        )
    except GoogleAuthError:
        text = (
            f"{account}: the worker has no account of its own that may act as it; give the source a "
            "secret, or the worker an account"
        )
        raise SourceUnauthenticated(text, source=account) from None
    return acting


class Tokens:
    """Tokens of an account, each used until shortly before its end."""

    def __init__(self, account: Credentials, name: str) -> None:
        self._account = account
        self._name = name
        self._lock = threading.Lock()
        self._session = requests.Session()
        self._session.trust_env = False

    def __call__(self) -> "GCSCredential":
        """Return a token that is good for minutes. Raises SourceUnauthenticated, SourceUnavailable."""
        with self._lock:
            if self._ends() - RENEW_BEFORE <= dt.datetime.now(dt.UTC):
                self._renew()
            return {"token": str(self._account.token), "expires_at": self._ends()}

    def _ends(self) -> dt.datetime:
        ends: dt.datetime = self._account.expiry or dt.datetime(1970, 1, 1)  # noqa: DTZ001 as google.auth has it
        return ends.replace(tzinfo=dt.UTC)

    def _renew(self) -> None:
        account: Any = self._account
        try:
            account.refresh(Request(self._session))
        except TransportError:
            text = f"{self._name}: no token can be had now, since Google does not answer"
            raise SourceUnavailable(text, source=self._name) from None
        except GoogleAuthError:
            text = (
                f"{self._name}: Google gives no token for it; let the worker's own account act as it "
                "(roles/iam.serviceAccountTokenCreator), or give the source a secret"
            )
            raise SourceUnauthenticated(text, source=self._name) from None


def _json(secret: SecretText, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(secret.reveal())
    except ValueError:
        raise _no_key(name, "JSON") from None
    if not isinstance(found, dict):
        raise _no_key(name, "a JSON object")
    return found


def _no_key(name: str, allowed: str) -> SourceUnauthenticated:
    text = f"secret {name} is no key for the store; allowed is {allowed}"
    return SourceUnauthenticated(text, source=name)
