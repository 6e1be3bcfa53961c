"""The cluster's programs, built from the two Go modules below `programs/`.

Their versions are those of each `go.mod`, their contents those of each `go.sum`. A program that
stands in `bin/` as its module's files ask for is not built again.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterable
from typing import Final

from tools.cluster.places import ARCHIVES, BIN, SOURCE, Refusal, say

HELM: Final = "helm.sh/helm/v3"
KUBERNETES: Final = "k8s.io/kubernetes"
VERSION_PACKAGES: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
LOCAL_IMAGES: Final = ("pause", "coredns", "metrics-server")
"""Programs that run as pods, each as an image `registry.local/NAME:1` of nothing else."""


@dataclasses.dataclass(frozen=True, slots=True)
class Module:
    """A Go module below `programs/` and the package of each program that is built in it."""

    name: str
    packages: dict[str, str]

    @property
    def folder(self) -> pathlib.Path:
        return SOURCE / "programs" / self.name


ADDONS: Final = Module(
    "addons",
    {
        "helm": f"{HELM}/cmd/helm",
        "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl",
        "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
        "coredns": "./coredns",
        "etcd": "./etcd",
        "pause": "./pause",
    },
)
SERVERS: Final = Module(
    "kubernetes",
    {
        name: f"{KUBERNETES}/cmd/{name}"
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        )
    },
)
TOOLS: Final = ("helm", "grpcurl", "kubectl")
"""What talks to any cluster, as opposed to what makes this one."""


def build(names: Iterable[str] | None = None) -> None:
    """Build these programs, or everything and the images of `LOCAL_IMAGES`.

    Raises:
        Refusal: Go is missing, a name is unknown, or a build fails.
    """
    everything = [*ADDONS.packages, *SERVERS.packages]
    wanted = everything if names is None else list(names)
    if unknown := sorted(set(wanted) - set(everything)):
        raise Refusal(f"found {', '.join(unknown)}; allowed are {', '.join(sorted(everything))}")
    for module in (ADDONS, SERVERS):
        stamp = _stamp(module)
        missing = [name for name in wanted if name in module.packages and not _fresh(name, stamp)]
        if missing:
            _compile(module, missing)
            for name in missing:
                _stamp_file(name).write_text(stamp)
    if names is None:
        for name in LOCAL_IMAGES:
            _pack(name)


def missing() -> list[str]:
    """Name what `build` would build."""
    found: list[str] = []
    for module in (ADDONS, SERVERS):
        stamp = _stamp(module)
        found += [name for name in module.packages if not _fresh(name, stamp)]
    return found


def _stamp(module: Module) -> str:
    digest = hashlib.sha256()
    for path in sorted(module.folder.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _stamp_file(name: str) -> pathlib.Path:
    return BIN / f".{name}.stamp"


def _fresh(name: str, stamp: str) -> bool:
    file = _stamp_file(name)
    return (BIN / name).exists() and file.exists() and file.read_text() == stamp


def _compile(module: Module, names: list[str]) -> None:
    if not shutil.which("go"):
        raise Refusal("go is not on the PATH; install Go 1.26 or newer")
    say(f"building {', '.join(names)} (without a build cache: helm about 2 minutes, all about 10)")
    started = time.monotonic()
    BIN.mkdir(parents=True, exist_ok=True)
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-o", f"{BIN}/"]
    command += ["-ldflags", " ".join(_link_flags(module))]
    command += [module.packages[name] for name in names]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    built = subprocess.run(
        command, cwd=module.folder, env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    if built.returncode:
        said = [line for line in built.stderr.splitlines() if "downloading" not in line]
        raise Refusal("\n".join(["go could not build it", *said[-20:]]))
    say(f"built in {time.monotonic() - started:.0f} s")


def _link_flags(module: Module) -> list[str]:
    """Without its version a server of Kubernetes calls itself v0.0.0 and is refused by the rest."""
    flags = ["-s", "-w"]
    if module is ADDONS:
        return [*flags, f"-X {HELM}/internal/version.version={_version(module, HELM)}"]
    version = _version(module, KUBERNETES)
    major, minor, _ = version.removeprefix("v").split(".")
    for package in VERSION_PACKAGES:
        flags += [
            f"-X {package}.gitVersion={version}",
            f"-X {package}.gitMajor={major}",
            f"-X {package}.gitMinor={minor}",
            f"-X {package}.gitTreeState=clean",
            f"-X {package}.gitCommit=unknown",
            f"-X {package}.buildDate=1970-01-01T00:00:00Z",
        ]
    return flags


def _version(module: Module, path: str) -> str:
    for line in (module.folder / "go.mod").read_text().splitlines():
        if line.split()[:1] == [path]:
            return line.split()[1]
    raise Refusal(f"{module.folder}/go.mod does not require {path}")


def _pack(name: str) -> None:
    """Write a docker archive whose one layer has the program and an empty /tmp."""
    archive = ARCHIVES / f"{name}.tar"
    program = BIN / name
    if archive.exists() and archive.stat().st_mtime > program.stat().st_mtime:
        return
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    work = ARCHIVES / f".{name}"
    shutil.rmtree(work, ignore_errors=True)
    (work / "root/tmp").mkdir(parents=True)
    (work / "root/tmp").chmod(0o1777)
    shutil.copy2(program, work / "root" / name)
    owner = ("--owner=0", "--group=0", "--numeric-owner")
    layer = work / "layer.tar"
    subprocess.run(["tar", "-C", work / "root", *owner, "-cf", layer, "."], check=True)
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"User": "65534:65534", "Entrypoint": [f"/{name}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    image = {
        "Config": "config.json",
        "RepoTags": [f"registry.local/{name}:1"],
        "Layers": ["layer.tar"],
    }
    (work / "config.json").write_text(json.dumps(config))
    (work / "manifest.json").write_text(json.dumps([image]))
    parts = ("manifest.json", "config.json", "layer.tar")
    subprocess.run(["tar", "-C", work, "-cf", work / "whole.tar", *parts], check=True)
    (work / "whole.tar").rename(archive)
    shutil.rmtree(work)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
