"""Pipelines that a schedule waits for: they are there, about the same time, and wait for nobody in turn."""

import itertools

import pytest

from tests.unit.orchestrator.configs.tenant_files import DELIVERIES, PIPELINE, good, only_error

SCHEDULE = "overlap: buffer_one}"


def after(*names: str, text: str = PIPELINE) -> str:
    assert SCHEDULE in text
    return text.replace(SCHEDULE, f"after: [{', '.join(names)}], after_timeout: 3h}}")


def test_a_schedule_says_whom_it_waits_for_and_how_long() -> None:
    schedule = good(pipelines__p=after("q", "q"), pipelines__q=PIPELINE).schedule
    assert schedule is not None
    assert (schedule.after, schedule.after_timeout_seconds) == (("q",), 3 * 3600)


def test_defaults_are_those_that_are_documented() -> None:
    schedule = good().schedule
    assert schedule is not None
    assert (schedule.jitter_seconds, schedule.catch_up_seconds) == (0, 7 * 86400)
    assert (schedule.after, schedule.after_timeout_seconds) == ((), 12 * 3600)


def test_a_pipeline_that_is_not_there_is_named() -> None:
    error = only_error(pipelines__p=after("daly"), pipelines__daily=PIPELINE)
    assert (error.field, error.line) == ("schedule.after.0", 11)
    assert error.found == "daly, for which there is no file"
    assert error.allowed == "one of pipelines: d, daily"
    assert error.advice == "did you mean daily?"


@pytest.mark.parametrize("found", ["p", "p after q after p", "p after q after r after p"])
def test_a_circle_is_refused_with_the_way_round(found: str) -> None:
    names = found.split(" after ")
    links = dict(itertools.pairwise(names))
    files = {f"pipelines__{name}": after(other) for name, other in links.items()}
    for pipeline in links:
        error = only_error(pipeline, **files)
        assert error.field == "schedule.after.0"
        assert error.found.startswith(f"{pipeline} after ")
        assert error.found.endswith(f"after {pipeline}: none of them would ever run")
        assert error.found.count(" after ") == len(links)


def test_two_ways_to_one_pipeline_are_no_circle() -> None:
    good(
        pipelines__p=after("q", "r"),
        pipelines__q=after("s"),
        pipelines__r=after("s"),
        pipelines__s=PIPELINE,
    )


def test_both_must_be_about_windows_of_one_grain() -> None:
    error = only_error(pipelines__p=after("d"))
    assert (error.field, error.found) == ("schedule.after.0", "d, which has no window")
    scheduled = f'{DELIVERIES}schedule: {{cron: "0 6 * * *", after: [p]}}\n'
    error = only_error("d", pipelines__d=scheduled)
    assert (error.field, error.found) == ("schedule.after", "no window")


def test_a_file_that_is_broken_itself_breaks_no_other() -> None:
    good(pipelines__p=after("q"), pipelines__q="a: [b\n")
