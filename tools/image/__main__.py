"""`python -m tools.image [--base debian] [--tag TAG]`: builds the images, tries them, and says what was measured."""

import argparse
import json
from typing import Final

from tools.image import bills, building, trial
from tools.image.inside import mounted, size
from tools.image.places import OUT, TARGETS, Refusal, say

MOST_BYTES: Final = 600 * 1000 * 1000
MOST_COMPRESSED: Final = 220 * 1000 * 1000
FORBIDDEN: Final = ("usr/bin/gcc", "usr/bin/cc", "usr/bin/pip*", "opt/*/bin/pip*", "root/.cache")
"""No compiler, no installer, no cache."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.image", description=__doc__)
    parser.add_argument("--base", choices=("pinned", "debian"), default="pinned")
    parser.add_argument("--tag", default="dev")
    chosen = parser.parse_args()
    building.build(own_base=chosen.base == "debian", tag=chosen.tag)
    sizes = _sizes(chosen.tag)
    figures = {"size": sizes, "start": _trial(chosen.tag)}
    (OUT / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    product = sizes["convergence"]
    if product["unpacked"] > MOST_BYTES or product["compressed"] > MOST_COMPRESSED:
        raise Refusal(f"the image is larger than {MOST_BYTES} or, packed, {MOST_COMPRESSED} bytes")


def _sizes(tag: str) -> dict[str, dict[str, int]]:
    sizes = {}
    for target, name in TARGETS.items():
        with mounted(f"{name}:{tag}") as root:
            if found := [path for pattern in FORBIDDEN for path in root.glob(pattern)]:
                raise Refusal(f"{target} has {found[0].relative_to(root)}")
            bills.write(root, OUT / f"{target}.cdx.json", name=name, version=building.version())
            unpacked = size(root)
        sizes[target] = {"unpacked": unpacked, "compressed": building.compressed(f"{name}:{tag}")}
    return sizes


def _trial(tag: str) -> dict[str, dict[str, float]]:
    with trial.whole(tag) as root:
        say("importing every module in the image")
        trial.imports(root)
        say("running the demo in the images")
        trial.demo(root)
        say("starting each service in the image")
        return {
            name: {"seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}
            for name, (wall, cpu) in trial.starts(root).items()
        }


if __name__ == "__main__":
    main()
