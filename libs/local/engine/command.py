"""The command line: options in, one JSON line out once the engine answers, one sentence if it cannot."""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from libs.local.engine.options import Options
from libs.local.engine.places import claimed, require_free
from libs.local.engine.refusal import Refused
from libs.local.engine.versions import check

EXIT_REFUSED = 2

SWITCH_SECONDS = 0.0005
"""How long a thread computes before another may: statements are parsed for many milliseconds, on one
thread, and each append waits for that some ten times. At Python's own 5 ms it takes twice as long."""


def main(arguments: Sequence[str]) -> int:
    """Run the engine until SIGTERM or SIGINT; return the exit status."""
    given = _parser().parse_args(arguments)
    announcements, sys.stdout = sys.stdout, sys.stderr
    sys.setswitchinterval(SWITCH_SECONDS)
    options = Options(
        data_dir=None if given.in_memory else given.data_dir,
        project=given.project,
        rest_port=given.rest_port,
        grpc_port=given.grpc_port,
        host=given.host,
        without=tuple(given.without),
    )
    try:
        check()
        with contextlib.nullcontext() if options.data_dir is None else claimed(options.data_dir):
            require_free(options.host, options.rest_port, options.grpc_port)
            _serving()(options, announcements)
    except Refused as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    return 0


def _serving() -> Callable[[Options, IO[str]], None]:
    """Import what only the engine's environment has and takes seconds, once nothing is in the way.

    Logging comes first: bqemulator logs while it is imported. Modules live as long as the process,
    so looking for garbage among them would only take a fifth of the start.
    """
    gc.disable()
    from libs.local.engine.logs import configure  # noqa: PLC0415

    configure()
    from libs.local.engine.process import run  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m libs.local.engine",
        description="BigQuery on this machine, for development and tests. It asks nobody who they are.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data-dir", type=Path, help="where tables are kept; one engine per dir")
    where.add_argument("--in-memory", action="store_true", help="keep nothing")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; others than 127.0.0.1 only where a network policy says who may call",
    )
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
