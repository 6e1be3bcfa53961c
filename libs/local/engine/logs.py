"""What the engine says: warnings, one JSON object a line."""

from bqemulator.config import LogFormat, LogLevel
from bqemulator.observability.logging_ import configure_logging

LEVEL = LogLevel.WARNING


def configure() -> None:
    """Say nothing below LEVEL from now on."""
    configure_logging(level=LEVEL, fmt=LogFormat.JSON)
