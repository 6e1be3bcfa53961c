"""Addresses of objects: `gs://bucket/key`, `s3://bucket/key`, and the prefixes that a tenant may read."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Final, Literal, Self, TypeAlias, cast

Scheme: TypeAlias = Literal["gs", "s3"]

ADDRESS: Final = re.compile(r"(gs|s3)://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])/(.*)", re.DOTALL)
BAD_PARTS: Final = frozenset({"", ".", ".."})


def remote(path: str) -> bool:
    """Return whether a source's path is an address, not a glob below a tenant's folder."""
    return "://" in path


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """A bucket and a key or glob in it; every part of the key between slashes has a name."""

    scheme: Scheme
    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address; raise ValueError saying what was found and is allowed."""
        matched = ADDRESS.fullmatch(text)
        if matched is None:
            raise ValueError(f"found {text!r}; allowed is gs://bucket/glob or s3://bucket/glob")
        if "\0" in text or BAD_PARTS & set(matched[3].split("/")):
            raise ValueError(f"found {text!r}; allowed is no empty part, no `.` and no `..` in it")
        return cls(cast("Scheme", matched[1]), matched[2], matched[3])

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def of(self, key: str) -> str:
        """Return the address of another object in the bucket."""
        return f"{self.scheme}://{self.bucket}/{key}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a tenant's sources may read of object stores, and whom they may act as; both may be empty."""

    prefixes: tuple[str, ...] = ()
    account: str = ""


def below(address: str, prefixes: Iterable[str]) -> bool:
    """Return whether an address lies below a prefix; one that ends within a name is none."""
    return any(prefix.endswith("/") and address.startswith(prefix) for prefix in prefixes)
