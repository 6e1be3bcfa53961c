"""A signing key in an owner-only file, as on a laptop."""

import asyncio
from pathlib import Path

from services.auth.private_files import create_private, read_private


class FileSigningKeyStore:
    """Keeps the key at `path`, mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        return await asyncio.to_thread(read_private, self._path, "signing key")

    async def create(self, pem: bytes) -> bool:
        return await asyncio.to_thread(create_private, self._path, pem)
