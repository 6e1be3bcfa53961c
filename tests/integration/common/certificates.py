"""Certificates for tests, each of an authority of its own."""

import os
from pathlib import Path

from tools.certificates import Authority


def certificate(name: str = "localhost") -> tuple[bytes, bytes]:
    """Return chain, its authority included, and key in PEM, of a new key."""
    authority = Authority("authority")
    own = authority.issue(name, hosts=[name])
    return own.certificate + authority.own.certificate, own.key


def keep(folder: Path, chain: bytes, key: bytes) -> None:
    """Put both files into `folder` at once, as Kubernetes does: the names are links through one that is replaced."""
    version = folder / f"..{os.urandom(4).hex()}"
    version.mkdir(parents=True)
    (version / "tls.crt").write_bytes(chain)
    (version / "tls.key").write_bytes(key)
    new = folder / "..new"
    new.symlink_to(version.name)
    new.rename(folder / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
