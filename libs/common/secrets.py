"""Secrets of tenants: text that cannot be printed, and where it comes from."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from libs.common.errors import FailedPrecondition, Unavailable

CACHE_SECONDS: Final = 120.0


class SecretNotFound(FailedPrecondition):
    """No store has the secret."""

    reason = "SECRET_NOT_FOUND"


class SecretNotPrivate(FailedPrecondition):
    """A secret file that others may read, or that is no plain file of its tenant's folder."""

    reason = "SECRET_NOT_PRIVATE"


class SecretStoreUnavailable(Unavailable):
    """A store cannot be asked now."""

    reason = "SECRET_STORE_UNAVAILABLE"


@dataclasses.dataclass(frozen=True, slots=True, repr=False, eq=False)
class SecretText:
    """A secret: nothing but `reveal` shows it."""

    _text: str

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "SecretText(***)"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return repr(self)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


class SecretStore(Protocol):
    """A place that secrets come from. Calls may block: use a thread."""

    def find(self, tenant: str, name: str) -> SecretText | None:
        """Return a secret, None if this place does not have it.

        Raises:
            SecretNotPrivate: it is there, and others may read it.
            SecretStoreUnavailable: nothing is known.
        """

    def describe(self, tenant: str, name: str) -> str:
        """Say where the secret would be, for people."""


class Secrets:
    """Stores in order, the first that has a secret gives it; kept for two minutes."""

    def __init__(self, stores: Sequence[SecretStore], *, monotonic: Callable[[], float]) -> None:
        self._stores = stores
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], tuple[SecretText, float]] = {}

    def get(self, tenant: str, name: str) -> SecretText:
        """Return a secret of a tenant. Raises SecretNotFound, SecretNotPrivate, Unavailable."""
        known, until = self._known.get((tenant, name), (None, 0.0))
        if known is not None and until > self._monotonic():
            return known
        for store in self._stores:
            found = store.find(tenant, name)
            if found is not None:
                self._known[tenant, name] = found, self._monotonic() + CACHE_SECONDS
                return found
        places = " nor ".join(store.describe(tenant, name) for store in self._stores)
        raise SecretNotFound(
            f"secret {name} of {tenant} is not there: neither {places}; create one of them",
            secret=name,
        )
