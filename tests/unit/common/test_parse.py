"""A request is read field by field, and every wrong field is named at once."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from libs.common.errors import InvalidRequest
from libs.common.names import PipelineName
from libs.common.parse import Reading, moment, page_size, required


def test_what_is_right_is_given() -> None:
    with Reading() as read:
        pipeline = read("parent", PipelineName.parse, "tenants/acme/pipelines/p")
        limit = read("page_size", page_size, 7)
    assert (pipeline, limit) == (PipelineName("acme", "p"), 7)


def test_every_wrong_field_is_named() -> None:
    def reading() -> None:
        with Reading() as read:
            read("parent", PipelineName.parse, "tenants/acme")
            read("request_id", UUID, "7")
            read("reason", required, "because")
            read("page_size", page_size, -1)

    with pytest.raises(InvalidRequest) as error:
        reading()
    assert error.value.violations == {
        "parent": "found 'tenants/acme'; allowed is tenants/{tenant}/pipelines/{pipeline}",
        "request_id": "badly formed hexadecimal UUID string (found '7')",
        "page_size": "found -1; allowed is 0 (meaning 50) or more",
    }
    assert error.value.reason == "INVALID_REQUEST"


def test_a_rule_over_several_fields_is_named_too() -> None:
    with pytest.raises(InvalidRequest) as error, Reading() as read:
        read.refuse("overlap", "found 8d; allowed is at most 7d")
    assert error.value.violations == {"overlap": "found 8d; allowed is at most 7d"}


def test_using_a_wrong_value_in_the_block_still_names_its_field() -> None:
    def reading() -> None:
        with Reading() as read:
            name = read("parent", PipelineName.parse, "acme")
            read("run", required, name.tenant)

    with pytest.raises(InvalidRequest) as error:
        reading()
    assert list(error.value.violations) == ["parent"]


def test_a_bug_in_the_block_stays_a_bug() -> None:
    def reading() -> None:
        with Reading() as read:
            read("parent", PipelineName.parse, "acme")
            raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        reading()


def test_a_bug_without_a_wrong_field_stays_a_bug() -> None:
    with pytest.raises(TypeError, match="a bug"), Reading():
        raise TypeError("a bug")


def test_an_empty_text_is_missing() -> None:
    with pytest.raises(ValueError, match="the field is required"):
        required("")


def test_a_timestamp_is_a_moment_in_utc() -> None:
    stamp = Timestamp()
    stamp.FromJsonString("2026-11-25T12:30:00.25+02:00")
    assert moment(stamp) == datetime(2026, 11, 25, 10, 30, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(253_402_300_800, 0), (-62_135_596_801, 0), (2**62, 0), (0, -1), (0, 1_000_000_000)],
    ids=["year 10000", "year 0", "far away", "negative nanos", "a second of nanos"],
)
def test_a_timestamp_out_of_range_says_what_is_allowed(seconds: int, nanos: int) -> None:
    with pytest.raises(ValueError, match=f"found {seconds} s and {nanos} ns; allowed are years 1"):
        moment(Timestamp(seconds=seconds, nanos=nanos))
