"""Trying the images: every module, the demo, and how long each service takes until it serves."""

import asyncio
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Final

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.local.mesh.plans import Mesh, Plan, plans
from tools.image.inside import USER, command, mounted
from tools.image.places import ROOT, TARGETS, Refusal

PYTHON: Final = "/opt/convergence/bin/python"
ENGINE: Final = "/opt/engine"
SITE: Final = "opt/convergence/lib/python3.11/site-packages"
START_SECONDS: Final = 60.0
IMPORTS: Final = """
import importlib, pkgutil, sys
import libs, services
failed = []
for package in (libs, services):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        name = module.name
        if name.startswith("libs.local.engine") or name.endswith("__main__"):
            continue
        if name == "libs.local.mesh.reloading":
            continue
        try:
            importlib.import_module(name)
        except Exception as error:
            failed.append(f"{name}: {str(error).strip().splitlines()[-1:]}")
sys.exit("\\n".join(failed) or 0)
"""
"""The engine has an image of its own, and reloading a laptop's code is no part of either."""


@contextlib.contextmanager
def whole(tag: str) -> Iterator[pathlib.Path]:
    """Give a root that has what is in both images, as if it were one machine."""
    with (
        mounted(f"{TARGETS['convergence']}:{tag}") as root,
        mounted(f"{TARGETS['engine']}:{tag}") as engine,
    ):
        shutil.copytree(engine / ENGINE[1:], root / ENGINE[1:], symlinks=True)
        shutil.copytree(ROOT / "examples", root / SITE / "examples")
        yield root


def imports(root: pathlib.Path) -> None:
    """Import every module of the product in the image, or say which cannot be."""
    _must(command(root, [PYTHON, "-P", "-c", IMPORTS]), "importing every module")


def demo(root: pathlib.Path) -> None:
    """Run the demo, the whole mesh of it, in the images."""
    _must(command(root, [PYTHON, "-P", "-m", "libs.local.demo"]), "the demo")


def starts(root: pathlib.Path) -> dict[str, tuple[float, float]]:
    """Return by process the seconds from start to serving, and CPU seconds used by then."""
    folder = root / "tmp/mesh"
    for path in (folder, folder / "keys", folder / "data/bigquery", folder / "configs"):
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, USER, USER)
        path.chmod(0o700)
    inside = pathlib.Path("/", folder.relative_to(root))
    mesh = Mesh(folder=inside, configs=inside / "configs", edge_port=0)
    found: dict[str, tuple[float, float]] = {}
    with contextlib.ExitStack() as stack:
        for plan in plans(mesh, _take):
            if plan.name not in ("ingest-2", "edge"):
                found[plan.name.partition("-")[0]] = _start(root, plan, stack)
    return found


def _start(root: pathlib.Path, plan: Plan, stack: contextlib.ExitStack) -> tuple[float, float]:
    python = f"{ENGINE}/bin/python" if plan.name == "bigquery" else PYTHON
    words = command(root, ["/usr/bin/tini", "--", python, *plan.command[1:]])
    environment = {"PATH": "/usr/bin", "LANG": "C.UTF-8", **plan.settings}
    began = time.monotonic()
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    stack.callback(_end, process)
    asyncio.run(_serving(plan, process))
    return time.monotonic() - began, _cpu(process.pid)


async def _serving(plan: Plan, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    while not await _serves(plan.addresses["grpc"], has_health=plan.name != "bigquery"):
        if process.poll() is not None or time.monotonic() > end:
            raise Refusal(f"{plan.name} does not serve in the image")
        await asyncio.sleep(0.01)


async def _serves(address: str, *, has_health: bool) -> bool:
    if not has_health:
        host, _, port = address.rpartition(":")
        with socket.socket() as caller:
            return caller.connect_ex((host, int(port))) == 0
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _cpu(parent: int) -> float:
    """Return CPU seconds of a process and of all that descend from it."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
            used[int(stat.parent.name)] = int(fields[11]) + int(fields[12])
    family = {parent}
    while more := {pid for pid, of in parents.items() if of in family} - family:
        family |= more
    return sum(used.get(pid, 0.0) for pid in family) / os.sysconf("SC_CLK_TCK")


def _take(port: int) -> str:
    """Return a free address; none is reserved, as the process is in another root."""
    with socket.create_server(("127.0.0.1", port)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def _must(words: list[str], what: str) -> None:
    environment = {
        "PATH": "/usr/bin",
        "LANG": "C.UTF-8",
        "HOME": "/tmp",  # noqa: S108
        "CONVERGENCE_ENGINE_PYTHON": f"{ENGINE}/bin/python",
    }
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()[-30:]
        raise Refusal("\n".join([f"{what} failed in the image", *lines]))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the first process of the namespace that unshare has made, and so all that is in it.

    Killing unshare alone would not, and its --kill-child does nothing beside --setuid, which takes it back.
    """
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with contextlib.suppress(OSError):  # all have ended
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)
    process.kill()
    process.wait()
