"""`python -m libs.local.mesh`: the supervisor; `convergence local up` starts it."""

import argparse
import asyncio
import sys
from pathlib import Path

from libs.local.mesh.plans import Mesh
from libs.local.mesh.states import AlreadyUp
from libs.local.mesh.supervisor import supervise


def main() -> int:
    """Supervise until told to stop; return 1 if the mesh cannot be started."""
    parser = argparse.ArgumentParser(prog="python -m libs.local.mesh", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--configs", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dev", action="store_true")
    chosen = parser.parse_args()
    mesh = Mesh(
        folder=chosen.state.resolve(), configs=chosen.configs.resolve(), edge_port=chosen.port
    )
    try:
        return asyncio.run(supervise(mesh, dev=chosen.dev))
    except AlreadyUp as error:
        print(error, file=sys.stderr)
        return 1


sys.exit(main())
