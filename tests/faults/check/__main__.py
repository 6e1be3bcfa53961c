"""`python -m tests.faults.check DIR`: check a history that is there already."""

import sys
from pathlib import Path

from tests.faults import check

if __name__ == "__main__":
    sys.exit(check.report(Path(sys.argv[1])))
