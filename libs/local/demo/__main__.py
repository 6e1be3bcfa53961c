"""`python -m libs.local.demo [--bill PATH]`: what `make demo` runs."""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from libs.common.errors import ServiceError
from libs.local.demo.bills import BillUnusable, read_bill
from libs.local.demo.neighbours import NeighbourFailed
from libs.local.demo.story import Demonstration
from libs.local.demo.tenants import BILL
from libs.local.mesh.lifecycle import NotStarted


def main() -> int:
    """Show the product at work; return 1 if anything was not as promised, 2 for an unusable bill."""
    parser = argparse.ArgumentParser(prog="python -m libs.local.demo", description=main.__doc__)
    parser.add_argument("--bill", type=Path, default=BILL, help="FOCUS bill (CSV) of acme_corp")
    bill_file = parser.parse_args().bill
    console = Console(highlight=False, soft_wrap=True)
    try:
        bill = read_bill(bill_file)
    except BillUnusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="convergence-demo-") as folder:
        demonstration = Demonstration(Path(folder), bill, console)
        try:
            demonstration.tell()
        except (NotStarted, NeighbourFailed, ServiceError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted; nothing is left running", file=sys.stderr)
            return 130
    return 1 if demonstration.broken else 0


sys.exit(main())
