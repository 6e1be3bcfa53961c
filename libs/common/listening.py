"""Where a server listens: `host:port` in plain text, and `tls://host:port/FOLDER` beside it."""

import dataclasses
import re
from pathlib import Path
from typing import Final

ALLOWED: Final = (
    "allowed is host:port, as 127.0.0.1:50051 or [::]:50051, and after a comma "
    "tls://host:port/FOLDER of a folder with tls.crt and tls.key"
)
ADDRESS: Final = re.compile(r"([^\s,/]*):([0-9]{1,5})")
_TLS: Final = re.compile(r"tls://([^\s,/]*:[0-9]{1,5})(/[^\s,]+)")
_HIGHEST: Final = 65_535


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """`plain` is for callers inside, and for probes, which know no TLS; `tls` for others, where there is any."""

    plain: str
    tls: str = ""
    folder: Path | None = None
    """Holds tls.crt (the chain, PEM) and tls.key."""

    @classmethod
    def parse(cls, text: str) -> "Listening":
        """Read a setting; raise ValueError saying what is allowed."""
        plain, comma, rest = text.partition(",")
        encrypted = _TLS.fullmatch(rest)
        if not _address(plain) or bool(comma) != bool(encrypted):
            raise ValueError(f"found {text!r}; {ALLOWED}")
        if encrypted is None:
            return cls(plain=plain)
        if not _address(encrypted[1]):
            raise ValueError(f"found {text!r}; {ALLOWED}")
        return cls(plain=plain, tls=encrypted[1], folder=Path(encrypted[2]))


def _address(text: str) -> bool:
    found = ADDRESS.fullmatch(text)
    return found is not None and int(found[2]) <= _HIGHEST
