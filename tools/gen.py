"""Generates gen/ from protos/; with --check, compares and changes nothing."""

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def generate(target: Path) -> None:
    """Write the messages, stubs and types of every proto below `target`."""
    protos = sorted(str(path) for path in (ROOT / "protos").rglob("*.proto"))
    plugin = Path(sys.executable).parent / "protoc-gen-mypy_grpc"
    outputs = ["python", "pyi", "grpc_python", "mypy_grpc"]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{ROOT / 'protos'}",
            f"--plugin=protoc-gen-mypy_grpc={plugin}",
            *(
                f"--{output}_out={'quiet:' if output == 'mypy_grpc' else ''}{target}"
                for output in outputs
            ),
            *protos,
        ],
        check=True,
    )
    for stub in target.rglob("*_pb2_grpc.py"):
        if "Servicer" not in stub.read_text():
            stub.unlink()
            stub.with_suffix(".pyi").unlink()


def differences(one: Path, other: Path) -> list[str]:
    """Return files below the two folders that are not the same."""
    names = {p.relative_to(root) for root in (one, other) for p in root.rglob("*.py*")}
    names = {name for name in names if "__pycache__" not in name.parts}
    return sorted(
        str(name)
        for name in names
        if not ((one / name).exists() and (other / name).exists())
        or not filecmp.cmp(one / name, other / name, shallow=False)
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if "--check" in sys.argv:
            different = differences(ROOT / "gen", fresh)
            if different:
                print("gen/ is not what protos/ says; run `make gen`:", *different, sep="\n  ")
            return int(bool(different))
        shutil.rmtree(ROOT / "gen", ignore_errors=True)
        shutil.copytree(fresh, ROOT / "gen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
