"""Typed settings from the environment, read once; a variable that nobody reads stops the start."""

import difflib
import os
import sys
from typing import Self

import pydantic
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What every service reads. Each service adds its own in a subclass with its own env_prefix."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_", extra="ignore")

    listen: str = "127.0.0.1:0"
    """Where gRPC is served; port 0 lets the kernel choose."""
    admin_listen: str = "127.0.0.1:0"
    """Where /healthz and /metrics are served over HTTP."""
    drain_seconds: float = 0.0
    """How long to go on serving after SIGTERM, while callers learn to go elsewhere."""
    grace_seconds: float = 5.0
    """How long calls in flight may then still take."""
    log_level: str = "INFO"
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
        unknown = {key for key in os.environ if key.startswith(prefix)} - known
        if unknown:
            raise ValueError("; ".join(_unknown(key, known) for key in sorted(unknown)))
        return cls()


def _unknown(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return f"no such setting {key}; {hint}"


def _sentence(error: ValueError, prefix: str) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    return "; ".join(
        f"{prefix}{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
        for problem in error.errors()
    )
