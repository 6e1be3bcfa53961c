"""Writes the chart's README from the comments of its values.yaml; with --check, compares."""

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).resolve().parents[1] / "deploy/helm/convergence"
KEY: Final = re.compile(r"( *)([A-Za-z]\w*):")
HEAD: Final = """\
# Chart of Convergence

Installs auth, orchestrator, ingest and quality: [how to](../../../docs/install.md), and [what runs and what it promises](../../../docs/kubernetes.md).
`values-gke.yaml` is for GKE, `values-local.yaml` for a trial on any cluster. Names that are not in this list are refused. Who calls whom stands in
[`files/mesh.yaml`](files/mesh.yaml), from which Services, routes, rights and network policies are made.

<!-- Below: made from values.yaml by `make chart-readme`. -->
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A key of values.yaml: its path, its default, and the comment above it."""

    path: tuple[str, ...]
    default: Any
    text: str

    @property
    def leaf(self) -> bool:
        """Whether it is set as a whole: no map, or a map of names that are free."""
        return (
            not isinstance(self.default, dict) or not self.default or self.text.startswith("Labels")
        )


def entries(text: str) -> Iterator[Entry]:
    """Yield every key of values.yaml in its order."""
    values = yaml.safe_load(text)
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
        elif found := KEY.match(line):
            del path[len(found[1]) // 2 :]
            path.append(found[2])
            default = values
            for name in path:
                default = default[name]
            yield Entry(tuple(path), default, " ".join(comment))
            comment = []
        else:
            comment = []


def readme(text: str) -> str:
    """Return README.md: a section for each key at the top, a row for each value below it."""
    lines = [HEAD]
    for entry in entries(text):
        if len(entry.path) == 1:
            lines += [
                f"\n## {entry.path[0]}\n\n{entry.text}\n",
                "\n| Value | Default | Meaning |\n| --- | --- | --- |\n",
            ]
        elif entry.leaf:
            default = json.dumps(entry.default, ensure_ascii=False)
            meaning = entry.text.replace("|", "\\|")
            lines.append(
                f"| `{'.'.join(entry.path)}` | `{default.replace('|', chr(92) + '|')}` | {meaning} |\n"
            )
    return "".join(lines)


def main(arguments: list[str]) -> int:
    page = CHART / "README.md"
    made = readme((CHART / "values.yaml").read_text())
    if "--check" not in arguments:
        page.write_text(made)
    elif not page.exists() or page.read_text() != made:
        sys.stderr.write(
            f"{page.relative_to(CHART.parents[2])} is not what values.yaml says: make chart-readme\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
