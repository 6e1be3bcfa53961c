"""A slice of `make faults`: every kind of fault once, every process killed, one mesh, one seed.

It ends when every fault has met its call, a minute at most on a machine of its own. FAULTS_ROUNDS says how often
all is done, FAULTS_SCALE by how much slower the machine is.
"""

import os
from pathlib import Path

import pytest

from tests.faults import check
from tests.faults.campaign import Plan, a_few, conduct
from tests.faults.nemesis import strikes

SEED = "slice"
GAP = 14
ROUNDS = int(os.environ.get("FAULTS_ROUNDS", "1"))
MOST_SECONDS = 150.0 * ROUNDS
SCALE = float(os.environ.get("FAULTS_SCALE", "2"))


@pytest.mark.timeout(600)
async def test_every_kind_of_fault_breaks_no_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = strikes(SEED, gap=GAP, more=0)
    plan = Plan(
        folder=tmp_path / "history",
        seed=SEED,
        seconds=MOST_SECONDS,
        rounds=ROUNDS,
        schedule=schedule,
        pipelines=a_few(),
        patience=60.0 * SCALE,
        scale=SCALE,
        least={"all": ROUNDS * len(schedule), "kind": ROUNDS, "process": ROUNDS},
    )
    await conduct(plan)
    broken = check.report(plan.folder)
    assert not broken, capsys.readouterr().out
