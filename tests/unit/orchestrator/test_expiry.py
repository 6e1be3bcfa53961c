"""When a lease is over, by one's own clock."""

from services.orchestrator.elections.expiry import Watched


def test_a_lease_is_over_once_nothing_has_changed_for_its_duration() -> None:
    watched = Watched()
    assert watched.left("a", 10.0, now=100.0) == 10.0
    assert watched.left("a", 10.0, now=109.5) == 0.5
    assert watched.left("a", 10.0, now=110.0) == 0.0


def test_a_change_begins_it_anew_also_after_it_was_over() -> None:
    watched = Watched()
    watched.left("a", 10.0, now=100.0)
    assert watched.left("b", 10.0, now=150.0) == 10.0
    assert watched.left("a", 10.0, now=155.0) == 10.0


def test_a_candidate_that_was_away_counts_from_what_it_saw_before() -> None:
    watched = Watched()
    watched.left("a", 10.0, now=100.0)
    assert watched.left("a", 10.0, now=400.0) == -290.0
