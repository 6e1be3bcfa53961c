"""Which calls a channel repeats by itself."""

from libs.client.connection import repeatable

NEVER = {"CreateApiKey", "RotateApiKey", "WatchRun", "WatchRuns"}


def test_everything_is_repeated_but_what_makes_a_secret_and_what_streams() -> None:
    found = {one["method"] for one in repeatable()}
    assert not found & NEVER
    assert {"CreateRun", "CreateTenant", "RevokeApiKey", "GetRun", "ListRuns", "RetryRun"} <= found
