"""Runs auth."""

from libs.common.app import serve
from services.auth.app import Settings, attach

if __name__ == "__main__":
    serve("auth", Settings.load(), attach)
