"""Runs a worker."""

from libs.common.app import serve
from services.ingest.app import Settings, attach

if __name__ == "__main__":
    serve("ingest", Settings.load(), attach)
