"""The signing key in use: where it is kept (the port), and when it is read again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from libs.common.errors import FailedPrecondition, ServiceError, Unavailable
from services.auth.rereading import JoinedReading
from services.auth.tokens import Signer, SigningKey

INIT_COMMAND: Final = "convergence admin init"
REFRESH_SECONDS: Final = 60.0


class NotInitialized(FailedPrecondition):
    reason = "NOT_INITIALIZED"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} does not exist yet; run `{INIT_COMMAND}`", command=INIT_COMMAND)


class SigningKeyUnusable(FailedPrecondition):
    reason = "SIGNING_KEY_UNUSABLE"

    def __init__(self, path: str, why: str, advice: str, *, mode: str = "") -> None:
        super().__init__(f"signing key {path} {why}; {advice}", path=path, mode=mode)


class SigningKeyStore(Protocol):
    """Where the private key is kept."""

    async def read(self) -> bytes:
        """Return PKCS #8 PEM of one or more Ed25519 keys, the signing one first.

        Raises:
            NotInitialized: there is none.
            SigningKeyUnusable: it is kept where others can read it.
            Unavailable: the store does not answer.
        """
        ...

    async def create(self, pem: bytes) -> bool:
        """Keep `pem` unless there is a key already; say whether it was kept."""
        ...


class MemorySigningKeyStore:
    """A key of one process."""

    def __init__(self, key: SigningKey | None = None) -> None:
        self._pem = key.pem() if key else None
        self.fail_with: Exception | None = None

    async def read(self) -> bytes:
        if self.fail_with is not None:
            raise self.fail_with
        if self._pem is None:
            raise NotInitialized("the signing key")
        return self._pem

    async def create(self, pem: bytes) -> bool:
        created = self._pem is None
        self._pem = self._pem or pem
        return created


class SigningKeys:
    """The signer of this process; read again every minute, and on demand while there is none."""

    def __init__(
        self,
        store: SigningKeyStore,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._sleep = sleep
        self._signer: Signer | None = None
        self._failure: ServiceError = NotInitialized("the signing key")
        self._reading = JoinedReading(self.refresh, clock=clock, sleep=sleep)

    async def ready(self) -> Signer:
        """Return the signer; while there is none, look once more first.

        Raises:
            NotInitialized, SigningKeyUnusable, Unavailable: as the store says.
        """
        if self._signer is None:
            await self._reading.wait()
        if self._signer is None:
            raise self._failure.with_traceback(None)
        return self._signer

    async def refresh(self) -> None:
        """Read the key; one that is read keeps signing while its store does not answer."""
        try:
            self._signer = Signer.parse(await self._store.read())
        except Unavailable as error:
            self._failure = error
        except ServiceError as error:
            self._failure, self._signer = error, None
        except ValueError as error:
            why = f"is no PKCS #8 PEM of Ed25519 keys: {error}"
            advice = f"remove it and run `{INIT_COMMAND}`"
            self._failure, self._signer = SigningKeyUnusable("(stored)", why, advice), None

    async def keep_fresh(self) -> None:
        """Refresh for ever."""
        while True:
            await self.refresh()
            await self._sleep(REFRESH_SECONDS)

    async def close(self) -> None:
        await self._reading.close()
