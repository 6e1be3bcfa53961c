"""Secrets of tenants: text that cannot be printed, and where it comes from."""

from collections.abc import Callable, Sequence
from typing import Protocol, Self

from libs.common.errors import FailedPrecondition, Unavailable


class SecretNotFound(FailedPrecondition):
    """No store has the secret."""

    reason = "SECRET_NOT_FOUND"


class SecretNotPrivate(FailedPrecondition):
    """A secret file that others may read, or that is no plain file of its tenant's folder."""

    reason = "SECRET_NOT_PRIVATE"


class SecretStoreUnavailable(Unavailable):
    """A store cannot be asked now."""

    reason = "SECRET_STORE_UNAVAILABLE"


class SecretText:
    """A secret: nothing but `reveal` shows it. No dataclass, which `asdict` would take apart."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

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

    @classmethod
    def parse(cls, raw: bytes, where: str, name: str) -> Self:
        """Return the secret in `raw` without the blanks around it.

        Raises:
            SecretNotFound: `raw` is nothing, or no UTF-8 text; the message says `where` it is.
        """
        try:
            text = raw.decode().strip()
        except UnicodeDecodeError:
            found = f"{where} is no UTF-8 text; write the secret into it as text"
            raise SecretNotFound(found, secret=name) from None
        if not text:
            raise SecretNotFound(f"{where} is empty; write the secret into it", secret=name)
        return cls(text)


class SecretStore(Protocol):
    """A place that secrets come from. Calls may block: use a thread."""

    @property
    def keep_seconds(self) -> float:
        """How long a secret may be used before it is asked for again; 0 where asking is cheap."""

    def find(self, tenant: str, name: str) -> SecretText | None:
        """Return a secret, None if this place does not have it.

        Raises:
            SecretNotFound: it is there, and cannot be used.
            SecretNotPrivate: it is there, and others may read it.
            SecretStoreUnavailable: nothing is known.
        """

    def describe(self, tenant: str, name: str) -> str:
        """Say where the secret would be, for people."""


class Secrets:
    """Stores in order, the first that has a secret gives it; each says how long it may be kept."""

    def __init__(self, stores: Sequence[SecretStore], *, monotonic: Callable[[], float]) -> None:
        self._stores = stores
        self._monotonic = monotonic
        self._known: dict[tuple[SecretStore, str, str], tuple[SecretText, float]] = {}

    def get(self, tenant: str, name: str) -> SecretText:
        """Return a secret of a tenant. Raises SecretNotFound, SecretNotPrivate, Unavailable."""
        for store in self._stores:
            found = self._kept(store, tenant, name) or self._asked(store, tenant, name)
            if found is not None:
                return found
        places = " nor ".join(store.describe(tenant, name) for store in self._stores)
        missing = "neither in" if len(self._stores) > 1 else "not in"
        text = f"secret {name} of {tenant} is {missing} {places}; create it there"
        raise SecretNotFound(text, secret=name)

    def _kept(self, store: SecretStore, tenant: str, name: str) -> SecretText | None:
        known, until = self._known.get((store, tenant, name), (None, 0.0))
        return known if until > self._monotonic() else None

    def _asked(self, store: SecretStore, tenant: str, name: str) -> SecretText | None:
        found = store.find(tenant, name)
        if found is not None and store.keep_seconds:
            until = self._monotonic() + store.keep_seconds
            self._known[store, tenant, name] = found, until
        return found
