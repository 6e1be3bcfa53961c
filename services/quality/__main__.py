"""Runs the quality service."""

from libs.common.app import serve
from services.quality.app import Settings, attach

if __name__ == "__main__":
    serve("quality", Settings.load(), attach)
