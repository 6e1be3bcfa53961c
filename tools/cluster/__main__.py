"""`python -m tools.cluster build [PROGRAM…] | up | down | load ARCHIVE… | run COMMAND…`."""

import os
import sys

from tools.cluster import building, lifecycle
from tools.cluster.places import Refusal


def main() -> None:
    match sys.argv[1:]:
        case ["build", *programs]:
            building.build(programs or None)
        case ["up"]:
            lifecycle.up()
        case ["down"]:
            lifecycle.down()
        case ["load", *archives] if archives:
            lifecycle.load(archives)
        case ["run", *words] if words:
            command = lifecycle.command(*words)
            os.execvp(command[0], command)  # noqa: S606
        case _:
            raise Refusal(f"allowed is {__doc__}")


if __name__ == "__main__":
    main()
