"""`python -m tools.cluster build [PROGRAM…] | missing [PROGRAM…] | up | down | load ARCHIVE… | run COMMAND…`."""

import os
import sys

from tools.cluster import building, lifecycle
from tools.cluster.places import Refusal


def main() -> None:
    verb, *words = sys.argv[1:] or [""]
    match verb:
        case "build":
            building.build(words or None)
        case "missing":
            print("\n".join(building.missing(words or None)))
        case "up":
            lifecycle.up()
        case "down":
            lifecycle.down()
        case "load" if words:
            lifecycle.load(words)
        case "run" if words:
            command = lifecycle.command(*words)
            os.execvp(command[0], command)  # noqa: S606
        case _:
            raise Refusal(__doc__ or "")


main()
