"""The command line `convergence`: a client of the same calls that the SDK makes."""

import os


def main() -> None:
    """Run the command line.

    gRPC reads how much it logs when it is loaded: a command says itself what failed, and the
    processes that it starts decide for themselves.
    """
    given = os.environ.get("GRPC_VERBOSITY")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from libs.client.cli import root  # noqa: PLC0415  (loads gRPC)

    if given is None:
        del os.environ["GRPC_VERBOSITY"]
    root.main()


__all__ = ["main"]
