"""Who wears the leader's label, at every change that the API server made."""

import dataclasses
import threading
import time
from typing import Final, Self

from tests.cluster import kube

LABEL: Final = "convergence.dev/role"
SELECTOR: Final = "app.kubernetes.io/component=orchestrator"


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """Who is labelled from a moment on."""

    at: float
    """By the monotonic clock."""
    labelled: frozenset[str]


class Leaders:
    """Follows the label while the block runs. The watch has every change, in order."""

    def __init__(self, namespace: str) -> None:
        self._watch = kube.watch("pods", f"--namespace={namespace}", f"--selector={SELECTOR}")
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self.changes: list[Change] = [Change(time.monotonic(), frozenset())]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        self._thread.join()

    @property
    def now(self) -> frozenset[str]:
        return self.changes[-1].labelled

    def two(self) -> list[Change]:
        """Return when more than one pod was labelled."""
        return [change for change in self.changes if len(change.labelled) > 1]

    def _follow(self) -> None:
        labelled: set[str] = set()
        for event, pod in self._watch:
            name = pod["metadata"]["name"]
            role = pod["metadata"].get("labels", {}).get(LABEL)
            if event != "DELETED" and role == "active":
                labelled.add(name)
            else:
                labelled.discard(name)
            if labelled != self.now:
                self.changes.append(Change(time.monotonic(), frozenset(labelled)))
