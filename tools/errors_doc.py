"""Writes docs/errors.md from the comments of error_reason.proto; with --check, compares."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "protos/convergence/common/v1/error_reason.proto"
PAGE = ROOT / "docs/errors.md"
HEAD = """# Errors

Generated from `protos/convergence/common/v1/error_reason.proto` by `make errors-doc`.

Clients branch on `google.rpc.ErrorInfo.reason` (domain `convergence.internal`) of a failed call, or on
`Failure.reason` of a failed run: the words are the same. Texts may change, reasons do not.

| Reason | What it means, what to do |
| --- | --- |
"""


def page() -> str:
    """Return the page for the proto as it is."""
    rows = re.findall(r"((?:  // .*\n)+)  ERROR_REASON_(\w+) = (\d+);", PROTO.read_text())
    lines = []
    for comment, reason, number in rows:
        if number != "0":
            text = " ".join(line.strip().removeprefix("// ") for line in comment.splitlines())
            lines.append(f"| `{reason}` | {text} |")
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    if "--check" in sys.argv:
        same = PAGE.exists() and PAGE.read_text() == page()
        if not same:
            print("docs/errors.md is not what error_reason.proto says; run `make errors-doc`")
        return int(not same)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
