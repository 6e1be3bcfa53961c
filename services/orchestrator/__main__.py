"""Runs the orchestrator."""

from libs.common.app import serve
from services.orchestrator.app import Settings, attach

if __name__ == "__main__":
    serve("orchestrator", Settings.load(), attach)
