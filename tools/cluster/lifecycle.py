"""Starting and stopping the cluster, and running commands in its network."""

import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from tools.cluster import building, certificates, configs
from tools.cluster.node import CGROUPS, PRIVATE
from tools.cluster.places import (
    ADMIN,
    ARCHIVES,
    BIN,
    INIT_PID,
    LOGS,
    NETWORK,
    NODE,
    RUN,
    SOURCE,
    Refusal,
    say,
)

NEEDED: Final = (
    "containerd",
    "ctr",
    "runc",
    "iptables",
    "nft",
    "conntrack",
    "ip",
    "nsenter",
    "unshare",
)
SYSCTLS: Final = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""The kubelet sets these for the whole machine; `down` puts them back."""
GROUPS: Final = ("kubepods", "kube-node")
_SYSCTL: Final = pathlib.Path("/proc/sys")
_CGROUP: Final = pathlib.Path("/sys/fs/cgroup")
_NAMESPACE: Final = pathlib.Path("/run/netns") / NETWORK


def init_pid() -> int | None:
    """Return the pid of the running cluster's first process; None if there is no cluster."""
    try:
        pid = int(INIT_PID.read_text())
        own = pathlib.Path(f"/proc/{pid}/ns/net").readlink()
        wanted = _NAMESPACE.stat().st_ino
    except (OSError, ValueError):
        return None
    return pid if str(own) == f"net:[{wanted}]" else None


def command(*words: str) -> list[str]:
    """Return these words as a command inside the cluster's namespaces, with its kubeconfig."""
    pid = init_pid()
    if pid is None:
        raise Refusal("no cluster is running; start it with make cluster-up")
    into = ["nsenter", f"--target={pid}", "--mount", "--uts", "--net", "--pid"]
    path = f"{BIN}:{os.environ.get('PATH', '')}"
    environment = ["env", f"PATH={path}", f"KUBECONFIG={ADMIN}"]
    return [*into, f"--wdns={pathlib.Path.cwd()}", *environment, *words]


def load(archives: Sequence[str]) -> None:
    """Bring docker or OCI archives into the cluster's container runtime."""
    for archive in archives:
        path = str(pathlib.Path(archive).resolve())
        importing = command("ctr", "--namespace", "k8s.io", "images", "import", path)
        subprocess.run(importing, check=True, stdout=subprocess.DEVNULL)


def up() -> None:
    """Start a new cluster and return when its node, DNS and metrics work.

    Raises:
        Refusal: Something is missing, a cluster runs already, or one part did not start.
    """
    _refuse_unprepared()
    down()
    started = time.monotonic()
    LOGS.mkdir(parents=True)
    certificates.issue_all()
    configs.write_all()
    _remember_sysctls()
    subprocess.run(["ip", "netns", "add", NETWORK], check=True)
    for controller in CGROUPS:
        (_CGROUP / controller / "kube-node").mkdir(exist_ok=True)
    _start_node()
    _until(10, "the first process", lambda: init_pid() is not None)
    _until(60, "containerd", lambda: _ok("ctr", "version"))
    load([str(ARCHIVES / f"{name}.tar") for name in building.LOCAL_IMAGES])
    _until(120, "the API server", lambda: _ok("kubectl", "get", "--raw", "/readyz"))
    account = ("kubectl", "--namespace=kube-system", "get", "serviceaccount", "default")
    _until(60, "the controllers", lambda: _ok(*account))
    subprocess.run(
        command("kubectl", "apply", "--filename", str(SOURCE / "manifests")),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    ready = ("kubectl", "wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=1s")
    _until(60, "the node", lambda: _ok(*ready))
    for name in ("coredns", "metrics-server"):
        status = ("kubectl", "-n", "kube-system", "rollout", "status", f"deployment/{name}")
        _until(120, name, functools.partial(_ok, *status, "--timeout=5s"))
    metrics = f"/apis/metrics.k8s.io/v1beta1/nodes/{NODE}"
    _until(60, "the node's metrics", lambda: _ok("kubectl", "get", "--raw", metrics))
    _until(30, "DNS", lambda: _ok("getent", "hosts", certificates.DNS))
    say(f"the cluster is up after {time.monotonic() - started:.0f} s")


def down() -> None:
    """Stop the cluster and remove all that it left outside `HOME`; without one, do nothing."""
    if (pid := init_pid()) is not None:
        os.kill(pid, signal.SIGKILL)  # with it ends every process of its pid namespace
        while pathlib.Path(f"/proc/{pid}").exists():
            time.sleep(0.05)
    if _NAMESPACE.exists():
        subprocess.run(["ip", "netns", "delete", NETWORK], check=True)
    for group in (controller / name for controller in _CGROUP.glob("*/") for name in GROUPS):
        for folder in sorted(group.rglob("*/"), reverse=True) if group.is_dir() else ():
            folder.rmdir()
        if group.is_dir():
            group.rmdir()
    _restore_sysctls()
    if RUN.exists():
        shutil.rmtree(RUN)
    for seen in (pathlib.Path("/var", name) for name in PRIVATE if name.startswith("lib/")):
        if seen.is_dir() and not any(seen.iterdir()):
            seen.rmdir()


def absent() -> list[str]:
    """Name what Debian's packages would bring and is not there."""
    plugins = [] if pathlib.Path("/usr/lib/cni").is_dir() else ["the CNI plugins"]
    return [name for name in NEEDED if not shutil.which(name)] + plugins


def _refuse_unprepared() -> None:
    if os.geteuid() != 0:
        raise Refusal("must run as root: it makes namespaces, mounts and routes")
    if names := absent():
        raise Refusal(f"{', '.join(names)} missing; make cluster-packages installs what it needs")
    if names := building.missing():
        raise Refusal(f"{', '.join(names)} not built; make cluster-build builds them")
    if init_pid() is not None:
        raise Refusal("a cluster is running already; make cluster-down stops it")


def _start_node() -> None:
    namespaces = ["--mount", "--uts", "--ipc", "--pid", "--fork"]
    process = [sys.executable, "-m", "tools.cluster.node"]
    with (LOGS / "init.log").open("wb") as log:
        subprocess.Popen(
            ["nsenter", f"--net={_NAMESPACE}", "unshare", *namespaces, *process],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=SOURCE.parents[1],
        )


def _ok(*words: str) -> bool:
    return subprocess.run(command(*words), capture_output=True, check=False).returncode == 0


def _until(seconds: float, name: str, done: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            for log in sorted(LOGS.glob("*.log")):
                say(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-5:]))
            raise Refusal(f"{name} did not come within {seconds:.0f} s; the logs are in {LOGS}")
        time.sleep(0.3)


def _remember_sysctls() -> None:
    lines = []
    for name in SYSCTLS:
        file = _SYSCTL / name
        if file.exists():
            lines.append(f"{name} {file.read_text().strip()}")
    (RUN / "sysctls").write_text("\n".join(lines))


def _restore_sysctls() -> None:
    before = RUN / "sysctls"
    for line in before.read_text().splitlines() if before.exists() else ():
        name, value = line.split(maxsplit=1)
        file = _SYSCTL / name
        if file.read_text().strip() != value:
            file.write_text(value)
