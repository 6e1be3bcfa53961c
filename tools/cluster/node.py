"""Process 1 of the cluster's namespaces: mounts, network, daemons. Its end is the cluster's.

`python -m tools.cluster.node`, started by `lifecycle.up` in new network, mount, uts, ipc and pid
namespaces. Every path that a daemon writes to is private to the mount namespace or lies in `RUN`.
"""

import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from tools.cluster import configs
from tools.cluster.places import (
    ADMIN,
    BIN,
    INIT_PID,
    LOGS,
    NODE,
    NODE_IP,
    RUN,
    SERVICE_CIDR,
    Refusal,
)

CGROUPS: Final = ("memory", "cpu", "cpuacct")
PRIVATE: Final = ("lib/kubelet", "lib/containerd", "lib/cni", "log")


def main() -> None:
    # Until /proc is mounted anew it is the outer one, and tells the pid that `down` needs.
    outer_pid = pathlib.Path("/proc/self").readlink()
    for controller in CGROUPS:
        group = pathlib.Path("/sys/fs/cgroup", controller, "kube-node/cgroup.procs")
        group.write_text("0")  # the writer itself
    _mount()
    _connect()
    INIT_PID.write_text(str(outer_pid))
    _start_daemons()
    while True:
        _collect()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _mount() -> None:
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("mount", "--make-rshared", "/")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for name in PRIVATE:
        kept, seen = RUN / "var" / name, pathlib.Path("/var", name)
        kept.mkdir(parents=True, exist_ok=True)
        seen.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(kept), str(seen))
    _run("mount", "--bind", f"{RUN}/resolv.conf", "/etc/resolv.conf")
    socket.sethostname(NODE)


def _connect() -> None:
    """Give the node an address on a pair of interfaces with both ends in here: no way out."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "node0", "type", "veth", "peer", "name", "node0-peer")
    _run("ip", "address", "add", f"{NODE_IP}/24", "dev", "node0")
    _run("ip", "link", "set", "node0", "up")
    _run("ip", "link", "set", "node0-peer", "up")
    _run("ip", "route", "add", SERVICE_CIDR, "dev", "node0")
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _start_daemons() -> None:
    _daemon("etcd", configs.etcd())
    _daemon("containerd", configs.containerd())
    _wait(30, "etcd", lambda: _answers(2379))
    _daemon("kube-apiserver", configs.api_server())
    _wait(90, "the API server", _api_ready)
    _daemon("kube-controller-manager", configs.controller_manager())
    _daemon("kube-scheduler", configs.scheduler())
    _daemon("kube-proxy", configs.kube_proxy())
    _wait(30, "containerd", pathlib.Path(configs.CONTAINERD).is_socket)
    _daemon("kubelet", configs.kubelet())
    _daemon("network-policies", [sys.executable, "-m", "tools.cluster.network_policies"])


def _daemon(name: str, command: list[str]) -> None:
    with (LOGS / f"{name}.log").open("wb") as log:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _api_ready() -> bool:
    asked = [f"{BIN}/kubectl", f"--kubeconfig={ADMIN}", "get", "--raw", "/readyz"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _wait(seconds: float, name: str, ready: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise Refusal(f"{name} did not answer within {seconds:.0f} s")
        time.sleep(0.2)


def _collect() -> None:
    """Take leave of a process that ended: a daemon, or an orphan that became a child of this."""
    try:
        pid, status = os.wait()
    except ChildProcessError:
        raise Refusal("every daemon has ended") from None
    if os.waitstatus_to_exitcode(status):
        print(f"process {pid} ended with {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
