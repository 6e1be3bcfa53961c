"""A slice of `make faults`: every kind of fault once, every process killed, one mesh, one seed.

FAULTS_SECONDS is the most that faults may take; FAULTS_SCALE by how much slower the machine is.
"""

import os
from pathlib import Path

import pytest

from tests.faults import check
from tests.faults.campaign import Plan, a_few, conduct
from tests.faults.nemesis import strikes

SEED = "slice"
GAP = 14
MOST_SECONDS = float(os.environ.get("FAULTS_SECONDS", "60"))
SCALE = float(os.environ.get("FAULTS_SCALE", "2"))


@pytest.mark.timeout(480)
async def test_every_kind_of_fault_breaks_no_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = strikes(SEED, gap=GAP, more=0)
    plan = Plan(
        folder=tmp_path / "history",
        seed=SEED,
        seconds=MOST_SECONDS,
        rounds=1,
        schedule=schedule,
        pipelines=a_few(),
        patience=60.0 * SCALE,
        scale=SCALE,
        least={"all": len(schedule), "kind": 1, "process": 1} if MOST_SECONDS >= 60 else {},
    )
    await conduct(plan)
    broken = check.report(plan.folder)
    assert not broken, capsys.readouterr().out
