"""The command line: options in, one JSON line out once the engine answers, one sentence if it cannot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from libs.local.engine.refusal import Refused

EXIT_REFUSED = 2


def main(arguments: Sequence[str]) -> int:
    """Run the engine until SIGTERM or SIGINT; return the exit status."""
    options = _parser().parse_args(arguments)
    announcements, sys.stdout = sys.stdout, sys.stderr
    try:
        from libs.local.engine.versions import check

        check()
    except ImportError as error:
        return _refuse(
            f"the embedded BigQuery needs its own environment, and {sys.executable} has no "
            f"module {error.name!r}: run `make setup` and start it with "
            ".venvs/engine/bin/python"
        )
    except Refused as error:
        return _refuse(str(error))

    from bqemulator.config import LogFormat, LogLevel
    from bqemulator.observability.logging_ import configure_logging

    configure_logging(level=LogLevel.WARNING, fmt=LogFormat.JSON)

    from libs.local.engine.fixes import apply
    from libs.local.engine.process import Options, run

    try:
        apply(without=options.without)
        run(
            Options(
                data_dir=None if options.in_memory else options.data_dir,
                project=options.project,
                rest_port=options.rest_port,
                grpc_port=options.grpc_port,
            ),
            announcements,
        )
    except Refused as error:
        return _refuse(str(error))
    return 0


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return EXIT_REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m libs.local.engine",
        description="BigQuery on this machine, for development and tests. Listens on 127.0.0.1.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data-dir", type=Path, help="where tables are kept; one engine per dir")
    where.add_argument("--in-memory", action="store_true", help="keep nothing")
    parser.add_argument("--rest-port", type=_port, default=0, help="0 (default): any free port")
    parser.add_argument("--grpc-port", type=_port, default=0, help="0 (default): any free port")
    parser.add_argument("--project", default="local", help="default project id")
    parser.add_argument("--without", action="append", default=[], help=argparse.SUPPRESS)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: use 0 to 65535")
    return port
