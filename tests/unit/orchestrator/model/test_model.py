"""Whatever is delivered, asked and broken in whatever order: the world is as the plain model says.

Hypothesis prints the story of one that fails, and `@reproduce_failure` with what made it.
`make stories STORIES=20000` tells more of them.
"""

import asyncio
import os

from hypothesis import HealthCheck, given, settings

from tests.unit.orchestrator.conductor.cutting import CutJournals
from tests.unit.orchestrator.conductor.world import World
from tests.unit.orchestrator.model.story import LookingWorker, Story, Telling, spec_of, stories


async def told(story: Story) -> None:
    world = World(journals=CutJournals())
    world.workers = [LookingWorker(f"w{i}", world.source, world.warehouse) for i in (1, 2)]
    table = world.warehouse.target(spec_of(story.mode, "p_bill", "A"))

    async def seen() -> list[tuple[object, ...]]:
        rows = world.warehouse.tables.get(table, [])
        return [(x.pipeline, x.run, x.source, x.number, x.snapshot, x.money[0]) for x in rows]

    await Telling(world, story.mode, seen).tell(story)


@settings(
    max_examples=int(os.environ.get("STORIES", "250")), deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(stories())
def test_every_story_ends_as_the_model_says(story: Story) -> None:
    asyncio.run(told(story))
