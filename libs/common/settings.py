"""Typed settings from the environment, read once; a variable that nobody reads stops the start."""

import difflib
import os
import sys
from typing import Annotated, ClassVar, Final, Self

import pydantic
import pydantic_core
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.common.listening import Listening

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _listen(text: str) -> str:
    Listening.parse(text)
    return text


def _admin_listen(text: str) -> str:
    if Listening.parse(text).tls:
        raise ValueError(f"found {text!r}; allowed is host:port, as 127.0.0.1:9090 or [::]:9090")
    return text


def _level(text: str) -> str:
    if text.upper() not in LEVELS:
        raise ValueError(f"found {text!r}; allowed are {', '.join(LEVELS)}")
    return text.upper()


Listen = Annotated[str, pydantic.AfterValidator(_listen)]
AdminListen = Annotated[str, pydantic.AfterValidator(_admin_listen)]
Level = Annotated[str, pydantic.AfterValidator(_level)]


class ServiceSettings(BaseSettings):
    """What every service reads. Each service adds its own in a subclass with its own env_prefix."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_", extra="ignore")

    connection_seconds: ClassVar[float | None] = None
    """No setting, but a fact of the service: how old a connection may become, give or take a tenth, before its
    caller is told to make a new one for its next call. Calls under way go on. None: as old as it likes."""

    listen: Listen = "127.0.0.1:0"
    """Where gRPC is served; port 0 lets the kernel choose. `host:port`, in plain text, and for callers from
    outside `,tls://host:port/FOLDER` of a folder with tls.crt and tls.key, which may be replaced."""
    admin_listen: AdminListen = "127.0.0.1:0"
    """Where /healthz and /metrics are served over HTTP."""
    drain_seconds: float = pydantic.Field(default=0.0, ge=0)
    """How long to go on serving after SIGTERM, while callers learn to go elsewhere."""
    grace_seconds: float = pydantic.Field(default=5.0, ge=0)
    """How long calls in flight may then still take."""
    log_level: Level = "INFO"
    otlp_endpoint: str = ""
    """OTLP/gRPC collector, `host:port`, in plain text; empty exports nothing."""
    bigquery_project: str = "local"
    bigquery_location: str = "US"
    bigquery_endpoint: str = ""
    """REST address of BigQuery; empty means Google's, with the process's own credentials."""
    bigquery_storage_endpoint: str = ""
    """gRPC address of the Storage Write API in plain text; empty means Google's."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment, or end the process with one sentence about what is wrong."""
        try:
            return cls.read()
        except ValueError as error:
            sys.exit(f"{cls.prefix()}*: {_sentence(error, cls.prefix())}")

    @classmethod
    def prefix(cls) -> str:
        return str(cls.model_config.get("env_prefix", ""))

    @classmethod
    def read(cls) -> Self:
        """Read the environment; raise ValueError for a bad value or a variable nobody reads."""
        prefix = cls.prefix()
        known = {f"{prefix}{field}".upper() for field in cls.model_fields}
        own = sorted(key for key in os.environ if key.upper().startswith(prefix))
        if unknown := [key for key in own if key.upper() not in known]:
            raise ValueError("; ".join(_unknown(key, prefix, known) for key in unknown))
        return cls()


def _unknown(key: str, prefix: str, known: set[str]) -> str:
    fields = {name.removeprefix(prefix): name for name in sorted(known)}
    near = difflib.get_close_matches(key.upper().removeprefix(prefix), fields, n=1, cutoff=0.6)
    hint = f"did you mean {fields[near[0]]}?" if near else f"known are {', '.join(sorted(known))}"
    return f"no such setting {key}; {hint}"


def _sentence(error: ValueError, prefix: str) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    return "; ".join(
        f"{prefix}{'_'.join(map(str, problem['loc'])).upper()}: {_found(problem)}"
        for problem in error.errors()
    )


def _found(problem: pydantic_core.ErrorDetails) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return f"found {problem['input']!r}; {problem['msg'][:1].lower()}{problem['msg'][1:]}"
