"""The command line `convergence`: a client of the same calls that the SDK makes."""

from libs.client.cli.root import main

__all__ = ["main"]
