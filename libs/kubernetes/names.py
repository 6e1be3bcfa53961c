"""How a setting names an object of the cluster: `kubernetes://NAMESPACE/NAME`, with `?pod=POD` for who asks."""

import dataclasses
import re
from typing import Final, Self

SCHEME: Final = "kubernetes://"
_PART: Final = r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?"
_NAME: Final = re.compile(rf"kubernetes://({_PART})/({_PART})(?:\?pod=({_PART}))?")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ObjectName:
    """An object of the cluster, and the pod that has to do with it; empty where none is named."""

    namespace: str
    name: str
    pod: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a name; None where `text` does not begin as one.

        Raises:
            ValueError: it begins as one and is none.
        """
        if not text.startswith(SCHEME):
            return None
        found = _NAME.fullmatch(text)
        if found is None:
            raise ValueError(
                f"found {text!r}; allowed is kubernetes://NAMESPACE/NAME, or "
                "kubernetes://NAMESPACE/NAME?pod=POD, of Kubernetes names: small letters, digits, - and ."
            )
        return cls(namespace=found[1], name=found[2], pod=found[3] or "")

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
