"""The chart, installed on the test cluster as docs/install.md says."""

import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.cluster import kube
from tests.support.eventually import eventually

ROOT: Final = pathlib.Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "deploy/helm/convergence"
NAME: Final = "convergence"
NAMESPACE: Final = "mesh"
SECRET: Final = "convergence-platform-key"
SERVICES: Final = ("auth", "orchestrator", "ingest", "quality")
COMPONENTS: Final = (*SERVICES, "bigquery", "edge")
RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}
LED_SECONDS: Final = 30.0
"""Until somebody leads whom callers find, once all pods are ready and `admin init` has run."""
REPOSITORY: Final = "localhost/convergence"

Values = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A mesh that is installed and initialised."""

    key: str
    installed: float
    """When `helm install` was begun, by the monotonic clock."""
    values: Values
    """Beside the local ones."""
    namespace: str = NAMESPACE

    @property
    def edge(self) -> str:
        return f"http://{NAME}-edge.{self.namespace}.svc.cluster.local:50051"

    @property
    def bigquery(self) -> str:
        return f"{NAME}-bigquery.{self.namespace}.svc.cluster.local"

    def test(self) -> str:
        """Run `helm test`."""
        return self.helm("test", NAME, "--timeout=300s")

    def upgrade(self, *, tag: str, values: Values | None = None) -> None:
        """Bring the release to an image tag, and wait until its pods are those of it."""
        chosen = _values(tag, values or {})
        self.helm("upgrade", NAME, *_local(CHART), "--wait", stdin=chosen)
        self.settle()

    def rollback(self) -> None:
        self.helm("rollback", NAME, "--wait")
        self.settle()

    def settle(self) -> None:
        """Wait until every Deployment has the pods that it asks for, of its newest kind."""
        for component in COMPONENTS:
            self.kubectl("rollout", "status", f"deployment/{NAME}-{component}", "--timeout=180s")

    def answers(self) -> bool:
        """Return whether callers of the edge come to an orchestrator: those are ready before one of them leads."""
        try:
            kube.call("grpcurl", "-plaintext", self.edge.removeprefix("http://"), "list")
        except kube.Failed:
            return False
        return True

    def helm(self, *words: str, stdin: str = "") -> str:
        return kube.call("helm", f"--namespace={self.namespace}", *words, stdin=stdin)

    def kubectl(self, *words: str) -> str:
        return kube.kubectl(f"--namespace={self.namespace}", *words)

    def images(self) -> set[str]:
        """Return the images of the four services' pods."""
        pods = (pod for service in SERVICES for pod in self.pods(service))
        return {container["image"] for pod in pods for container in pod["spec"]["containers"]}

    def pods(self, component: str) -> list[kube.Thing]:
        """Return the pods of a component that are not on their way out."""
        label = f"app.kubernetes.io/component={component}"
        found = kube.get("pods", f"--namespace={self.namespace}", f"--selector={label}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def make_namespace() -> None:
    """Make the namespace, in which only pods of the restricted profile are admitted."""
    metadata = {"name": NAMESPACE, "labels": RESTRICTED}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


@contextlib.contextmanager
def installed(
    *,
    tag: str = "dev",
    values: Values | None = None,
    chart: pathlib.Path = CHART,
    before_leading: Callable[[str], None] | None = None,
) -> Iterator[Release]:
    """Install a chart and initialise it, for the length of the block.

    Args:
        tag: Of the image.
        values: Beside the local ones.
        chart: The present one, or an earlier one.
        before_leading: Does something to the tables before any orchestrator has seen them; told where BigQuery is.
    """
    make_namespace()
    began = time.monotonic()
    try:
        inside = f"--namespace={NAMESPACE}"
        chosen = _values(tag, values or {})
        kube.call("helm", inside, "install", NAME, *_local(chart), stdin=chosen)
        for component in ("bigquery", "auth"):
            kube.kubectl(
                inside, "rollout", "status", f"deployment/{NAME}-{component}", "--timeout=120s"
            )
        if before_leading is not None:
            _scale_orchestrator(0)
        init = ["exec", f"deployment/{NAME}-auth", "--container=auth", "--"]
        said = kube.kubectl(inside, *init, "convergence", "admin", "init", "--output", "json")
        key = str(json.loads(said)["platform_key"]["secret"])
        kube.kubectl(inside, "create", "secret", "generic", SECRET, f"--from-literal=key={key}")
        release = Release(key=key, installed=began, values=values or {})
        if before_leading is not None:
            before_leading(release.bigquery)
            _scale_orchestrator(2)
        release.settle()
        eventually(release.answers, within=LED_SECONDS)
        yield release
    finally:
        uninstall()


def uninstall() -> None:
    """Remove the release, then the namespace that was made for it."""
    with contextlib.suppress(kube.Failed):
        kube.call("helm", f"--namespace={NAMESPACE}", "uninstall", NAME, "--wait")
    kube.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")


def _scale_orchestrator(count: int) -> None:
    """Have so many orchestrators, and none of those that there were if there are to be none."""
    inside, label = f"--namespace={NAMESPACE}", "app.kubernetes.io/component=orchestrator"
    kube.kubectl(inside, "scale", f"deployment/{NAME}-orchestrator", f"--replicas={count}")
    if not count:
        eventually(lambda: not kube.get("pods", inside, f"--selector={label}"), within=60)


def _local(chart: pathlib.Path) -> tuple[str, ...]:
    """Return a chart with its local values, and room for those of `_values`."""
    return (str(chart), f"--values={chart}/values-local.yaml", "--values=-")


def _values(tag: str, values: Values) -> str:
    """Return what is set beside the local values, for `--values=-`."""
    engine = {"repository": f"{REPOSITORY}-engine", "tag": "dev"}
    trial = {"image": engine, **values.get("trial", {})}
    image = {"repository": REPOSITORY, "tag": tag, "pullPolicy": "Never"}
    return json.dumps({"image": image, **values, "trial": trial})
