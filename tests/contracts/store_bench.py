"""A tenant's folder, an S3 bucket and a Cloud Storage bucket, each filled and changed by a test."""

import contextlib
import dataclasses
import json
import os
import secrets
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from libs.common.secrets import SecretText
from services.ingest.sources.guard import guarded_backend, open_http
from services.ingest.stores.addresses import Reach
from services.ingest.stores.buckets import Buckets, Place
from services.ingest.stores.local_files import LocalFiles
from services.ingest.stores.object_store import ObjectStore
from services.ingest.stores.store import Store
from services.ingest.stores.tunnel import open_tunnel
from tests.support.object_servers import S3, Google

RUNNING: Final = threading.Event()


class Bench(Protocol):
    """A store of one tenant, and hands that change what is in it."""

    store: Store

    def put(self, name: str, data: bytes) -> None:
        """Write an object, over the one of that name if there is one."""

    def delete(self, name: str) -> None:
        """Remove an object."""

    def at(self, name: str) -> str:
        """Return the id of an object, or the pattern for a glob."""

    def outside(self) -> str:
        """Return a pattern that is not the tenant's."""


@dataclasses.dataclass(slots=True)
class Folder:
    """Files of tenant acme."""

    root: Path
    store: Store

    def put(self, name: str, data: bytes) -> None:
        path = self.root / "acme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        # Two writes within a tick of the file system's clock are not told apart.
        later = path.stat().st_mtime_ns + secrets.randbelow(10**9) + 10**9
        os.utime(path, ns=(later, later))

    def delete(self, name: str) -> None:
        (self.root / "acme" / name).unlink()

    def at(self, name: str) -> str:
        return name

    def outside(self) -> str:
        return "../other/*.csv"


@dataclasses.dataclass(slots=True)
class S3Bucket:
    """A bucket of moto, of which the tenant may read `acme/`."""

    client: Any
    bucket: str
    store: Store

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"acme/{name}", Body=data)

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"acme/{name}")

    def at(self, name: str) -> str:
        return f"s3://{self.bucket}/acme/{name}"

    def outside(self) -> str:
        return f"s3://{self.bucket}/acme_corp/*.csv"


@dataclasses.dataclass(slots=True)
class GoogleBucket:
    """A bucket of fake-gcs-server, of which the tenant may read `acme/`."""

    server: Google
    bucket: str
    store: Store

    def put(self, name: str, data: bytes) -> None:
        self.server.put(self.bucket, f"acme/{name}", data)

    def delete(self, name: str) -> None:
        self.server.delete(self.bucket, f"acme/{name}")

    def at(self, name: str) -> str:
        return f"gs://{self.bucket}/acme/{name}"

    def outside(self) -> str:
        return f"gs://{self.bucket}/acme_corp/*.csv"


@contextlib.contextmanager
def buckets(*, allow_private_addresses: bool = True, **changes: Any) -> Generator[Buckets]:
    """Return what opens buckets on this machine."""
    backend = guarded_backend(allow_private_addresses)
    with (
        open_http(allow_private_addresses=allow_private_addresses) as http,
        open_tunnel(backend) as tunnel,
    ):
        plain: dict[str, Any] = {
            "proxy": tunnel.url,
            "backend": backend,
            "http": http,
            "allow_private_addresses": allow_private_addresses,
        }
        yield Buckets(**(plain | changes))


def account_key() -> str:
    """Return a service account's key as it is downloaded."""
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "acme-1",
            "private_key_id": "k1",
            "private_key": private.decode(),
            "client_email": "reader@acme-1.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    )


KEY: Final = account_key()


def opened(
    made: Buckets, path: str, endpoint: str, secret: str, prefixes: tuple[str, ...]
) -> ObjectStore:
    """Open a bucket with a secret."""
    place = Place(
        path=path, endpoint=endpoint, secret=lambda: SecretText(secret), secret_name="store_key",
        reach=Reach(prefixes=prefixes),
    )  # fmt: skip
    return made.open(place, threading.Event())


def name_bucket() -> str:
    """Return a name that no bucket has."""
    return f"acme-{secrets.token_hex(6)}"


@contextlib.contextmanager
def folder(root: Path) -> Generator[Folder]:
    """Return a tenant's folder."""
    (root / "acme").mkdir()
    yield Folder(root, LocalFiles(root, "acme"))


@contextlib.contextmanager
def s3_bucket(server: S3) -> Generator[S3Bucket]:
    """Return a new bucket of S3."""
    bucket, client = name_bucket(), server.client()
    client.create_bucket(Bucket=bucket)
    with buckets() as made:
        path, prefix = f"s3://{bucket}/x", f"s3://{bucket}/acme/"
        store = opened(made, path, server.address, json.dumps(server.key), (prefix,))
        yield S3Bucket(client, bucket, store)


@contextlib.contextmanager
def google_bucket(server: Google) -> Generator[GoogleBucket]:
    """Return a new bucket of Cloud Storage."""
    bucket = name_bucket()
    server.make(bucket)
    with buckets() as made:
        path, prefix = f"gs://{bucket}/x", f"gs://{bucket}/acme/"
        yield GoogleBucket(server, bucket, opened(made, path, server.address, KEY, (prefix,)))


def elsewhere(address: str) -> str:
    """Return an address of this machine that nothing listens on."""
    return str(httpx.URL(address).copy_with(port=1))
