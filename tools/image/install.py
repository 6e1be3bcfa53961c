"""Installs wheels for the image; a step of the Dockerfile.

`install.py locked ENVIRONMENT LOCK WHEELS` makes an environment of the wheels that LOCK names by
version and hash, without what no service uses. `install.py own ENVIRONMENT PREFIX WHEEL…` lays this
product's wheel below PREFIX as it must lie in ENVIRONMENT. Both compile what they install, as a
read-only file system keeps no bytecode.
"""

import compileall
import pathlib
import py_compile
import shutil
import subprocess
import sys
import venv


def locked(environment: pathlib.Path, lock: pathlib.Path, wheels: pathlib.Path) -> None:
    venv.create(environment, symlinks=True)
    pip(environment, "--require-hashes", f"--find-links={wheels}", f"--requirement={lock}")
    packages = packages_of(environment)
    remove(packages, pathlib.Path(__file__).with_name("unneeded.txt").read_text())
    for library in packages.rglob("*.so*"):
        if library.parent.name.endswith(".libs"):
            continue  # bundled: its headers were moved, and strip would leave it unloadable
        subprocess.run(["strip", "--strip-unneeded", library], check=True)
    compiled(packages)


def own(environment: pathlib.Path, prefix: pathlib.Path, *wheels: pathlib.Path) -> None:
    pip(environment, f"--prefix={prefix}", *wheels)
    compiled(packages_of(prefix))


def pip(environment: pathlib.Path, *wanted: object) -> None:
    command = ["/tools/bin/pip", f"--python={environment}/bin/python", "install", "--quiet"]
    command += ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run([*command, *map(str, wanted)], check=True)


def packages_of(environment: pathlib.Path) -> pathlib.Path:
    (packages,) = environment.glob("lib/python3.*/site-packages")
    return packages


def remove(packages: pathlib.Path, unneeded: str) -> None:
    """Delete what each line's pattern matches below `packages`."""
    for line in unneeded.splitlines():
        pattern = line.partition("#")[0].strip()
        for path in list(packages.glob(pattern)) if pattern else ():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def compiled(packages: pathlib.Path) -> None:
    """Write bytecode that is not compared with its source: neither changes in an image."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(packages, quiet=2, workers=0, invalidation_mode=mode)


if __name__ == "__main__":
    step, *paths = sys.argv[1:]
    if step == "locked":
        locked(*map(pathlib.Path, paths))
    else:
        own(*map(pathlib.Path, paths))
