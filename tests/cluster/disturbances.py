"""What is done to an installed mesh: a seeded list of disturbances, and how each is done."""

import dataclasses
import random
from collections.abc import Callable
from typing import Final

from tests.cluster import release
from tests.cluster.instances import Instances

TERM, KILL, ROLL, UPGRADE = ("term", "kill", "roll", "upgrade")
"""A pod deleted with its grace; a container killed or a pod deleted without grace; a rolling restart; another image."""
TARGETS: Final = ("ingest", "orchestrator", "quality", "auth")
WEIGHTS: Final = {"ingest": 4, "orchestrator": 4, "quality": 2, "auth": 2}
TAGS: Final = ("next", "dev")


@dataclasses.dataclass(frozen=True, slots=True)
class Disturbance:
    """One of them: what, to which service, and which of two ways."""

    kind: str
    target: str
    way: int


def seeded(seed: str, count: int) -> list[Disturbance]:
    """Return `count` disturbances: every target rolled, the image changed twice, the rest by chance."""
    chance = random.Random(seed)
    found = [Disturbance(ROLL, target, 0) for target in TARGETS]
    found += [Disturbance(UPGRADE, "all", way) for way in (0, 1)]
    targets, weights = list(WEIGHTS), list(WEIGHTS.values())
    while len(found) < count:
        (target,) = chance.choices(targets, weights)
        found.append(Disturbance(chance.choice((TERM, KILL)), target, chance.randrange(2)))
    chance.shuffle(found)
    return found


def do(
    what: Disturbance, mesh: release.Release, instances: Instances, note: Callable[[str, str], None]
) -> None:
    """Do it, and tell `note` of each process that it is done to: its kind and its name."""
    if what.kind == UPGRADE:
        for target in release.SERVICES:
            note_all(target, instances, note)
        mesh.upgrade(tag=TAGS[what.way], values=mesh.values)
        return
    if what.kind == ROLL:
        note_all(what.target, instances, note)
        mesh.kubectl("rollout", "restart", f"deployment/{release.NAME}-{what.target}")
        return
    pods = sorted(pod["metadata"]["name"] for pod in mesh.pods(what.target))
    if not pods:
        return
    pod = pods[what.way % len(pods)]
    instances.look()
    for one in instances.all.values():
        if one.pod == pod and one.ended is None:
            note(what.kind, one.name)
    if what.kind == TERM:
        mesh.kubectl("delete", "pod", pod, "--wait=false")
    elif what.way:
        mesh.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
    else:
        instances.kill(pod)


def note_all(target: str, instances: Instances, note: Callable[[str, str], None]) -> None:
    """Tell `note` of every process of a service that it is ended in its own time."""
    instances.look()
    for one in instances.all.values():
        if one.component == target and one.ended is None:
            note(TERM, one.name)
