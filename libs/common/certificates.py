"""A server's certificate from files, used anew once they are replaced."""

import threading
from pathlib import Path
from typing import Final

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

log = structlog.get_logger()

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"

_Signature = tuple[tuple[int, int, int], ...]


class CertificateUnusable(Exception):
    """A folder holds no certificate with its key."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"no certificate can be had from {folder}: {why}; allowed is {CERTIFICATE}, a chain in PEM "
            f"that begins with the server's own, and {KEY}, its key in PEM without a password"
        )


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """Return credentials of the certificate in `folder`, looked at again for every new connection.

    One that is replaced serves the connections after that; one that is broken is logged, and the last good
    one stays in use.

    Raises:
        CertificateUnusable: there is none to begin with.
    """
    files = _Files(folder)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        files.changed,  # type: ignore[arg-type]  # its documentation says that None changes nothing
        require_client_authentication=False,
    )


class _Files:
    """The two files, and what was read of them last. gRPC asks from threads of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._signature: _Signature = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        self._signature = self._now()
        try:
            chain = (self._folder / CERTIFICATE).read_bytes()
            key = (self._folder / KEY).read_bytes()
        except OSError as error:
            raise CertificateUnusable(self._folder, str(error)) from error
        _require_pair(self._folder, chain, key)
        return grpc.ssl_server_certificate_configuration([(key, chain)])

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold if they were replaced since; None to go on with what is known."""
        with self._lock:
            if self._now() == self._signature:
                return None
            try:
                found = self.read()
            except CertificateUnusable as error:
                log.warning("certificate.refused", reason=str(error))
                return None
        log.info("certificate.replaced", folder=str(self._folder))
        return found

    def _now(self) -> _Signature:
        found = []
        for name in (CERTIFICATE, KEY):
            try:
                stat = (self._folder / name).stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return tuple(found)


def _require_pair(folder: Path, chain: bytes, key: bytes) -> None:
    try:
        own = x509.load_pem_x509_certificates(chain)[0].public_key()
        public = load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError) as error:
        raise CertificateUnusable(folder, str(error)) from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own.public_bytes(*form) != public.public_bytes(*form):
        raise CertificateUnusable(folder, f"{KEY} is not the key of the first of {CERTIFICATE}")
