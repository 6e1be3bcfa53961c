"""Export manifests over a tenant's folder: the newest of each delivery, and exactly the files it names."""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.ingest.failures import ManifestInvalid, SourceEmpty
from services.ingest.sources.files import Files
from services.ingest.stores.local_files import LocalFiles
from tests.unit.ingest.reading import columns, read_all, splitting

SAMPLES = Path(__file__).parents[2] / "data" / "manifests"
COLUMNS = columns("id", "cost")
ROWS = {1: "id,cost\n1,2\n", 2: "id,cost\n1,2\n3,4\n"}
PERIOD = "exports/my-focus/{}/BILLING_PERIOD=2026-11"
DATA, METADATA = PERIOD.format("data"), PERIOD.format("metadata")
EXECUTION = "20261107T031500Z-7d3f0c1a-2222-4333-8444-555566667777"
NOVEMBER = "exports/my-focus/BILLING_PERIOD=2026-11"
RUN_A, RUN_B, RUN_C = (
    f"exports/focus-daily/20261101-20261130/{run}"
    for run in (
        "aaaaaaaa-1111-4111-8111-111111111111",
        "bbbbbbbb-2222-4222-8222-222222222222",
        "cccccccc-3333-4333-8333-333333333333",
    )
)
SCOPE = "subscriptions/0f2d1c34-1111-2222-3333-444455556666/FocusCost"


def sample(name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return said


class Tenant:
    """A folder of tenant acme, and sources over its manifests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "acme").mkdir()
        self.clock = 1_800_000_000

    def write(self, name: str, text: str) -> None:
        """Write a file a second after the last one."""
        path = self.root / "acme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    def tell(self, name: str, said: object) -> None:
        self.write(name, json.dumps(said))

    def source(self, kind: str) -> Files:
        pattern = "exports/**/*-Manifest.json" if kind == "aws" else "exports/**/manifest.json"
        return Files(store=LocalFiles(self.root, "acme"), path=pattern, format="csv", manifest=kind)  # type: ignore[arg-type]

    def inputs(self, kind: str) -> dict[str, str]:
        """Return the delivery of each input of a plan."""
        chunks = self.source(kind).plan(splitting(COLUMNS)).chunks
        return {chunk.input.input_id: chunk.input.delivery for chunk in chunks}

    def refused(self, kind: str) -> str:
        with pytest.raises(ManifestInvalid) as refusal:
            self.source(kind).plan(splitting(COLUMNS))
        assert refusal.value.reason == "MANIFEST_INVALID"
        manifest = refusal.value.metadata["manifest"]
        assert str(refusal.value).startswith(f"manifest {manifest}: ")
        return str(refusal.value)


@pytest.fixture
def acme(tmp_path: Path) -> Tenant:
    return Tenant(tmp_path)


def overwrite(acme: Tenant) -> None:
    """Lay out an export of AWS that writes over itself, with a file that its manifest does not name."""
    for name in ("my-focus-00001.csv", "my-focus-00002.csv", "my-focus-00003.csv"):
        acme.write(f"{DATA}/{name}", ROWS[2])
    acme.tell(f"{METADATA}/my-focus-Manifest.json", sample("aws_overwrite"))


def test_exactly_the_files_of_the_manifest_are_read_under_their_own_names(acme: Tenant) -> None:
    overwrite(acme)
    found = read_all(acme.source("aws"), COLUMNS)
    inputs = {chunk.input.input_id for chunk in found.plan.chunks}
    assert inputs == {f"{DATA}/my-focus-00001.csv", f"{DATA}/my-focus-00002.csv"}
    assert {chunk.input.delivery for chunk in found.plan.chunks} == {NOVEMBER}
    assert found.plan.deliveries == (NOVEMBER,)
    assert found.texts == [("1", "2"), ("3", "4")] * 2


def test_the_newest_execution_of_a_billing_period_wins_whatever_was_copied_last(
    acme: Tenant,
) -> None:
    newest, older = sample("aws_create_new"), sample("aws_create_new")
    before = EXECUTION.replace("20261107T031500", "20261106T235959")
    older["dataFiles"] = [name.replace(EXECUTION, before) for name in older["dataFiles"]]
    october = json.loads(json.dumps(older).replace("2026-11/", "2026-10/"))
    for execution, said in ((EXECUTION, newest), (before, older)):
        acme.write(f"{DATA}/{execution}/my-focus-00001.csv", ROWS[1])
        acme.tell(f"{METADATA}/{execution}/my-focus-Manifest.json", said)
    past = f"{DATA}/{before}/my-focus-00001.csv".replace("2026-11/", "2026-10/")
    acme.write(past, ROWS[1])
    acme.tell(
        f"{METADATA}/{before}/my-focus-Manifest.json".replace("2026-11/", "2026-10/"), october
    )
    assert acme.inputs("aws") == {
        past: "exports/my-focus/BILLING_PERIOD=2026-10",
        f"{DATA}/{EXECUTION}/my-focus-00001.csv": NOVEMBER,
    }


def test_data_without_a_manifest_is_not_there_yet(acme: Tenant) -> None:
    overwrite(acme)
    acme.write(f"{DATA}/{EXECUTION}/my-focus-00001.csv", ROWS[2])
    assert set(acme.inputs("aws")) == {f"{DATA}/my-focus-0000{n}.csv" for n in (1, 2)}


def test_a_broken_newest_manifest_is_refused_and_not_passed_over(acme: Tenant) -> None:
    overwrite(acme)
    acme.write(f"{METADATA}/29991231T000000Z-x/my-focus-Manifest.json", "{")
    assert "found no JSON" in acme.refused("aws")


@pytest.mark.parametrize(
    "name",
    [
        "s3://acme-billing/exports/other/data/BILLING_PERIOD=2026-11/x.csv",
        "s3://acme-billing/exports/my-focus/data/BILLING_PERIOD=2026-10/x.csv",
        "s3://acme-billing/exports/my-focus/data/BILLING_PERIOD=2026-11/../../../../x.csv",
        "s3://acme-billing/exports/my-focus/data/BILLING_PERIOD=2026-11/",
        "s3://acme-billing/exports/my-focus/data/BILLING_PERIOD=2026-11//x.csv",
        "../other/x.csv",
        "/etc/passwd",
        "",
        7,
        None,
    ],
)
def test_a_file_outside_of_the_exports_folder_is_refused(acme: Tenant, name: object) -> None:
    overwrite(acme)
    said = sample("aws_overwrite") | {"dataFiles": [name]}
    acme.tell(f"{METADATA}/my-focus-Manifest.json", said)
    text = acme.refused("aws")
    assert f"found {name!r} in dataFiles" in text
    assert "allowed is a file below my-focus/data/BILLING_PERIOD=2026-11/" in text


def test_a_file_that_is_not_there_is_refused(acme: Tenant) -> None:
    overwrite(acme)
    (acme.root / "acme" / DATA / "my-focus-00002.csv").unlink()
    assert f"it names {DATA}/my-focus-00002.csv, which is not there" in acme.refused("aws")


def test_a_file_that_is_named_twice_is_refused(acme: Tenant) -> None:
    overwrite(acme)
    said = sample("aws_overwrite")
    said["dataFiles"].append(said["dataFiles"][0])
    acme.tell(f"{METADATA}/my-focus-Manifest.json", said)
    assert f"found {DATA}/my-focus-00001.csv twice" in acme.refused("aws")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "found no JSON"),
        ("[" * 100_000, "found no JSON"),
        ("[]", "found JSON that is no object"),
        ("{}", "found nothing as executionId; allowed is a text"),
        ('{"executionId": 7}', "found 7 as executionId; allowed is a text"),
        ('{"executionId": "x"}', "found nothing as dataFiles; allowed is a list"),
        ('{"executionId": "x", "dataFiles": {}}', "found {} as dataFiles; allowed is a list"),
    ],
)
def test_what_is_no_manifest_of_aws_is_refused_with_what_was_found(
    acme: Tenant, text: str, why: str
) -> None:
    acme.write(f"{METADATA}/my-focus-Manifest.json", text)
    assert why in acme.refused("aws")


def test_a_manifest_in_another_place_is_none_of_aws(acme: Tenant) -> None:
    acme.tell("exports/x-Manifest.json", sample("aws_overwrite"))
    assert "found no manifest of AWS by its name" in acme.refused("aws")


def test_an_execution_without_files_is_an_empty_delivery(acme: Tenant) -> None:
    acme.tell(f"{METADATA}/my-focus-Manifest.json", sample("aws_overwrite") | {"dataFiles": []})
    plan = acme.source("aws").plan(splitting(COLUMNS))
    assert (plan.chunks, plan.deliveries) == ((), (NOVEMBER,))


def azure(acme: Tenant, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    """Lay out a run of an Azure export, whose manifest may be changed before it is written."""
    acme.write(f"{RUN_A}/part_0_0001.csv", ROWS[2])
    acme.write(f"{RUN_A}/part_1_0001.csv", ROWS[1])
    said = sample("azure_first")
    change(said)
    acme.tell(f"{RUN_A}/manifest.json", said)


def test_azure_names_blobs_with_their_sizes_and_counts(acme: Tenant) -> None:
    azure(acme)
    plan = acme.source("azure").plan(splitting(COLUMNS))
    assert plan.deliveries == (f"{SCOPE}/2026-11",)
    assert [(c.input.input_id, c.expected_row_count) for c in plan.chunks] == [
        (f"{RUN_A}/part_0_0001.csv", 2), (f"{RUN_A}/part_1_0001.csv", 1),
    ]  # fmt: skip


def test_of_two_runs_the_one_submitted_last_wins_to_the_seventh_digit(acme: Tenant) -> None:
    acme.write(f"{RUN_B}/part_0_0001.csv", ROWS[1])
    acme.tell(f"{RUN_B}/manifest.json", sample("azure_unknown_counts"))
    azure(acme)
    assert acme.inputs("azure") == {f"{RUN_B}/part_0_0001.csv": f"{SCOPE}/2026-11"}


def test_runs_of_other_scopes_datasets_and_months_stand_beside_each_other(acme: Tenant) -> None:
    azure(acme)
    for number, (key, value) in enumerate(
        [
            (
                "resourceId",
                "/providers/X/billingAccounts/1/providers/Microsoft.CostManagement/exports/e",
            ),
            ("type", "ActualCost"),
        ]
    ):
        said = copy.deepcopy(sample("azure_empty"))
        said["exportConfig"][key] = value
        acme.tell(f"exports/{number}/{RUN_C}/manifest.json", said)
    acme.tell(f"exports/2/{RUN_C}/manifest.json", sample("azure_empty"))
    plan = acme.source("azure").plan(splitting(COLUMNS))
    assert plan.deliveries == (
        "providers/x/billingaccounts/1/FocusCost/2026-12",
        f"{SCOPE.replace('FocusCost', 'ActualCost')}/2026-12",
        f"{SCOPE}/2026-11",
        f"{SCOPE}/2026-12",
    )
    assert {chunk.input.delivery for chunk in plan.chunks} == {f"{SCOPE}/2026-11"}


@pytest.mark.parametrize("count", [0, None])
def test_a_run_without_blobs_is_an_empty_delivery(acme: Tenant, count: int | None) -> None:
    said = sample("azure_empty") | {"blobCount": count}
    if count is None:
        said["blobs"] = None
    acme.tell(f"{RUN_C}/manifest.json", said)
    plan = acme.source("azure").plan(splitting(COLUMNS))
    assert (plan.chunks, plan.deliveries) == ((), (f"{SCOPE}/2026-12",))


def test_a_count_that_is_null_is_not_known_and_not_zero(acme: Tenant) -> None:
    acme.write(f"{RUN_B}/part_0_0001.csv", ROWS[1])
    acme.tell(f"{RUN_B}/manifest.json", sample("azure_unknown_counts"))
    found = read_all(acme.source("azure"), COLUMNS)
    assert found.texts == [("1", "2")]


def test_a_file_without_rows_belongs_to_its_delivery_where_the_manifest_does_not_say_otherwise(
    acme: Tenant,
) -> None:
    said = sample("azure_unknown_counts")
    said["byteCount"] = said["blobs"][0]["byteCount"] = 8
    acme.write(f"{RUN_B}/part_0_0001.csv", "id,cost\n")
    acme.tell(f"{RUN_B}/manifest.json", said)
    plan = acme.source("azure").plan(splitting(COLUMNS))
    assert (plan.chunks, plan.deliveries) == ((), (f"{SCOPE}/2026-11",))
    said["blobs"][0]["dataRowCount"] = 1
    acme.tell(f"{RUN_B}/manifest.json", said)
    assert "has 1 rows, and it has 0" in acme.refused("azure")


def test_a_compressed_file_must_have_the_rows_that_its_manifest_says(acme: Tenant) -> None:
    azure(acme)
    source = acme.source("azure")
    whole = Files(
        store=source.store, path=source.path, format="csv", manifest="azure", encoding="latin-1"
    )
    counts = [chunk.expected_row_count for chunk in whole.plan(splitting(COLUMNS)).chunks]
    assert counts == [2, 1]


def _blob(said: dict[str, Any]) -> dict[str, Any]:
    blob: dict[str, Any] = said["blobs"][0]
    return blob


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.pop("runInfo"), "found nothing as runInfo; allowed is an object"),
        (lambda m: m.pop("exportConfig"), "found nothing as exportConfig"),
        (lambda m: m["runInfo"].pop("submittedTime"), "found nothing as runInfo.submittedTime"),
        (
            lambda m: m["runInfo"].update(submittedTime="yesterday"),
            "found 'yesterday' as runInfo.submittedTime; allowed is a moment",
        ),
        (lambda m: m["exportConfig"].update(resourceId="/x"), "found '/x' as exportConfig.resourceId"),
        (
            lambda m: m["runInfo"].update(endDate="2026-12-01T00:00:00+00:00"),
            "allowed are two days of one month",
        ),
        (lambda m: m.update(blobCount=3), "found 2 blobs and a blobCount of 3"),
        (lambda m: m.update(blobCount=True), "found True as blobCount; allowed is a number from 0"),
        (lambda m: m.update(byteCount=29), "found byteCount 29; its blobs have 28"),
        (lambda m: m.update(dataRowCount=4), "found dataRowCount 4; its blobs have 3"),
        (lambda m: m.update(blobs=[1, 2]), "found a blob that is no object"),
        (lambda m: _blob(m).update(byteCount=-1), "found -1 as blobs.byteCount"),
        (lambda m: _blob(m).update(blobName="secrets/key.txt"), "found the blob 'secrets/key.txt'"),
        (lambda m: _blob(m).update(blobName=f"{RUN_A}/.."), "allowed is one in aaaaaaaa-"),
        (lambda m: _blob(m).update(blobName=f"{RUN_B}/part_0_0001.csv"), "allowed is one in aaaa"),
        (lambda m: _blob(m).update(blobName=f"{RUN_A}/none.csv"), "which is not there"),
        (
            lambda m: (m.update(byteCount=29), _blob(m).update(byteCount=17)),
            "has 17 bytes, and it has 16",
        ),
        (
            lambda m: (m.update(dataRowCount=4), _blob(m).update(dataRowCount=3)),
            "has 3 rows, and it has 2",
        ),
    ],
)  # fmt: skip
def test_what_is_no_manifest_of_azure_is_refused_with_what_was_found(
    acme: Tenant, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    azure(acme, change)
    assert why in acme.refused("azure")


def test_a_glob_that_matches_data_says_that_it_is_no_manifest(acme: Tenant) -> None:
    azure(acme)
    acme.write(f"{RUN_A}/manifest.json", ROWS[2])
    assert "found no JSON" in acme.refused("azure")


def test_without_a_manifest_an_empty_file_is_refused_as_ever(acme: Tenant) -> None:
    acme.write("a.csv", "id,cost\n")
    plain = Files(store=LocalFiles(acme.root, "acme"), path="a.csv", format="csv")
    with pytest.raises(SourceEmpty):
        plain.plan(splitting(COLUMNS))
