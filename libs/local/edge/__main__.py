"""`python -m libs.local.edge`: one address for all services that tenants see."""

import argparse
import asyncio
import sys

from libs.local.edge.server import run


def main() -> int:
    """Serve until told to stop; return 1 if the address cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m libs.local.edge", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:50051", help="address to serve at")
    parser.add_argument("--auth", required=True, help="address of auth")
    parser.add_argument("--orchestrator", required=True, help="address of the orchestrator")
    chosen = parser.parse_args()
    try:
        asyncio.run(run(chosen.listen, {"auth": chosen.auth, "orchestrator": chosen.orchestrator}))
    except RuntimeError as error:
        print(f"the edge cannot listen at {chosen.listen}: {error}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
