"""The demonstration as a stranger runs it: its own process, its own mesh, any bill."""

import csv
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from libs.common.money import total
from libs.local.demo.bills import COST, plain
from libs.local.demo.tenants import BILL
from libs.local.mesh.plans import ROOT, import_path

MOST_SECONDS = 170


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "libs.local.demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        check=False,
        timeout=MOST_SECONDS,
    )


def changed(folder: Path) -> tuple[Path, Decimal]:
    """Write the shipped bill with other amounts; return the file and what it comes to."""
    file, amounts = folder / "changed.csv", []
    with BILL.open(newline="") as shipped, file.open("w", newline="") as made:
        rows = csv.DictReader(shipped)
        writer = csv.DictWriter(made, rows.fieldnames or ())
        writer.writeheader()
        for number, row in enumerate(rows):
            if number % 7 == 0:
                row[COST] = f"{number}.{number:018d}"
            amounts.append(Decimal(row[COST]))
            writer.writerow(row)
    return file, total(amounts)


def test_a_changed_bill_is_shown_to_its_own_last_digit_and_nothing_is_left_running(
    tmp_path: Path,
) -> None:
    file, expected = changed(tmp_path)
    done = demo("--bill", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"in the (?:file|cost table) +(\S+)", done.stdout) == [plain(expected)] * 2
    for said in (
        "acme_corp · p_focus_billing",
        "acme_corp · p_openai_daily",
        "widgetsinc · p_openai_daily",
        "Receipt",
        "column_values_to_not_be_null",
        "Cost by service, acme_corp",
        "Cost by day, widgetsinc",
        "Cost by model, widgetsinc",
        "grpcurl",
        "nothing is left running",
    ):
        assert said in done.stdout
    assert "…" not in "".join(re.findall(r"\d\S*…", done.stdout)), "a number is cut"
    assert not _running_below("convergence-demo-")


def _running_below(prefix: str) -> list[str]:
    """Return the commands of processes that name a temporary folder of the demonstration."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if prefix in command:
            found.append(command)
    return found


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bill.txt", "BilledCost\n1\n", "is no .csv file"),
        ("bill.csv", "Cost\n1\n", "has no column BilledCost"),
        ("none.csv", None, "cannot be read"),
    ],
    ids=["another ending", "another form", "no file"],
)
def test_what_is_no_bill_is_refused_before_anything_starts(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    done = demo("--bill", str(tmp_path / name))
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout
