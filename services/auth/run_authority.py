"""Who may ask for tokens of runs: the port, and the implementation by a shared key."""

import asyncio
import hashlib
import hmac
from pathlib import Path
from typing import Protocol

from libs.common.identity import CredentialMissing, IdentityTokenInvalid
from services.auth.private_files import read_private


class RunAuthority(Protocol):
    """Knows the orchestrator."""

    async def check(self, authorization: str) -> None:
        """Return if `authorization` (`Bearer …`) is the orchestrator's own.

        Raises:
            CredentialMissing: it is empty.
            IdentityTokenInvalid: it is somebody else's.
            NotInitialized, SigningKeyUnusable, ClusterRefused, Unavailable: nobody can tell.
        """
        ...


def bearer(authorization: str) -> str:
    """Return the credential of an `authorization` header; raise CredentialMissing or IdentityTokenInvalid."""
    scheme, _, credential = authorization.partition(" ")
    if not authorization:
        raise CredentialMissing(
            "no `authorization` came with the call; send `Bearer` and the orchestrator's key"
        )
    if scheme.lower() != "bearer" or not credential:
        raise IdentityTokenInvalid("`authorization` is not `Bearer` and a key")
    return credential


class SharedKeyAuthority:
    """Compares with a key in an owner-only file that orchestrator and auth both read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def check(self, authorization: str) -> None:
        shown = bearer(authorization)
        kept = await asyncio.to_thread(read_private, self._path, "orchestrator's key")
        digests = (hashlib.sha256(text).digest() for text in (shown.encode(), kept.strip()))
        if not kept.strip() or not hmac.compare_digest(*digests):
            raise IdentityTokenInvalid("it is not the orchestrator's own key")
