"""What `make cloud` says where it cannot run, and its checks of lifetimes, which nobody here waits for."""

import datetime as dt
from pathlib import Path

import pytest
from click.testing import CliRunner
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from tests.cloud import lifetimes, places
from tests.cloud.__main__ import main
from tests.cloud.places import embedded
from tests.cloud.scratch import LABEL, SCRATCH
from tests.support.engine import Engine

BEGUN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
KINDS = set(lifetimes.LIVES)


def test_without_a_project_it_says_what_it_would_do_and_ends_with_2() -> None:
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 2
    assert "all streams of a commit are seen at once" in done.output
    assert "delete the dataset, also if a check fails" in done.output
    assert "nothing was run: say PROJECT=… and LOCATION=…" in done.output


@pytest.mark.parametrize("phase", ["run", "begin", "end"])
def test_without_credentials_it_says_how_to_get_some_and_ends_with_2(
    phase: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    done = CliRunner().invoke(main, [phase, "--project", "p", "--location", "EU"])
    assert done.exit_code == 2
    assert "In p, EU" in done.output
    assert "nothing was run: no credentials" in done.output


def test_what_should_be_there_and_what_should_be_gone_is_looked_at_once_its_time_has_come(
    engine: Engine,
) -> None:
    """The embedded one's clock stands still, so that whatever should be gone is there: that is told."""
    said: list[str] = []
    with embedded(engine, "lifetimes") as at:
        lifetimes.begin(at, BEGUN)
        assert lifetimes.end(at, BEGUN + dt.timedelta(hours=1), said.append)
        assert [line for line in said if line.startswith("BROKEN")] == []
        assert {line.partition("held")[2].partition(":")[0].strip() for line in said} - {
            ""
        } == KINDS
        said.clear()
        assert lifetimes.end(at, BEGUN + dt.timedelta(hours=1), said.append)
        assert [line.startswith("not yet") for line in said] == [True] * 4
        said.clear()
        assert not lifetimes.end(at, BEGUN + dt.timedelta(hours=80), said.append)
        assert [line.startswith("BROKEN") for line in said] == [True] * 4
        with pytest.raises(NotFound):
            at.client.get_dataset(at.dataset)


def test_what_nobody_looked_at_before_its_end_is_told_as_missed(engine: Engine) -> None:
    said: list[str] = []
    with embedded(engine, "missed") as at:
        lifetimes.begin(at, BEGUN)
        lifetimes.end(at, BEGUN + dt.timedelta(hours=80), said.append)
    assert {line.partition("missed")[2].partition(":")[0].strip() for line in said} - {""} == KINDS


def test_what_a_killed_run_left_is_deleted_by_a_later_one_and_nothing_else(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded(engine, "left_by_nobody") as at:
        for name, labels in {
            "abandoned": {LABEL: SCRATCH},
            "begun": {LABEL: "lifetimes"},
            "a_tenants": {"tenant": "acme"},
        }.items():
            made = bigquery.Dataset(f"{at.client.project}.{name}")
            made.labels = labels
            at.client.create_dataset(made)
        assert places.sweep(at.client) == [], "it may belong to a run that is going on"
        monkeypatch.setattr(places, "LIFETIME", dt.timedelta(hours=-1))
        assert places.sweep(at.client) == ["abandoned"]
        assert {"begun", "a_tenants"} <= {one.dataset_id for one in at.client.list_datasets()}


def test_a_dataset_is_deleted_also_if_a_check_fails(engine: Engine) -> None:
    made: list[str] = []

    def fail() -> None:
        with embedded(engine) as at:
            made.append(at.table())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with embedded(engine, "other") as after, pytest.raises(NotFound):
        after.client.get_table(made[0])
