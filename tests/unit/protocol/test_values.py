"""Single values of the API's records: what is read, leniently or strictly, and what is written."""

import math
from datetime import UTC, datetime

import pytest

from suno_cover_async import CoverStatus
from suno_cover_async.protocol import values
from suno_cover_async.protocol.values import Times


@pytest.mark.parametrize(
    ("given", "number"),
    [
        *((401, 401), ("401", 401), (401.0, 401), (0, 0), ("", None), ("4.1", None)),
        *((True, None), (None, None), (1.5, None), (math.nan, None), ("9" * 21, None), ("٤", None)),
    ],
)
def test_whole_numbers_in_three_spellings(given: object, number: int | None) -> None:
    assert values.whole_number(given) == number


@pytest.mark.parametrize("given", [True, None, "5", math.nan, math.inf])
def test_credits_are_a_finite_number(given: object) -> None:
    assert values.read_credits(12) == 12.0
    with pytest.raises(ValueError, match="not a number of credits"):
        values.read_credits(given)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (0, CoverStatus.PENDING),
        (1, CoverStatus.SUCCESS),
        (2, CoverStatus.GENERATING),
        ("3", CoverStatus.FAILED),
        ("SUCCESS", CoverStatus.SUCCESS),
        ("GENERATE_COVER_FAILED", CoverStatus.FAILED),
        (4, CoverStatus.PENDING),
        ("new word", CoverStatus.PENDING),
        (None, CoverStatus.PENDING),
    ],
)
def test_a_flag_is_a_number_or_a_word_and_unknown_ones_are_pending(
    given: object, status: CoverStatus
) -> None:
    assert values.read_flag(given, None) is status


@pytest.mark.parametrize("status", CoverStatus)
def test_a_written_flag_is_read_back(status: CoverStatus) -> None:
    assert values.read_flag(values.write_flag(status), None) is status


@pytest.mark.parametrize("times", Times)
def test_a_written_time_is_read_back_to_the_millisecond(times: Times) -> None:
    moment = datetime(2026, 11, 27, 8, 0, 0, 123_000, tzinfo=UTC)

    assert values.read_time(values.write_time(times, moment), None) == moment
    assert values.write_time(times, None) is None


@pytest.mark.parametrize(
    "given", [0, -1, 10**20, "", "yesterday", "1999-12-31T23:59:59Z", "3000-01-01", 5.5, True, None]
)
def test_what_is_no_time_of_this_millennium_is_none(given: object) -> None:
    assert values.read_time(given, None) is None


def test_a_time_without_a_zone_is_utc() -> None:
    assert values.read_time("2026-11-27T08:00:00", None) == datetime(2026, 11, 27, 8, tzinfo=UTC)


def test_the_parent_is_an_id_or_absent_and_anything_else_is_an_error() -> None:
    assert values.read_parent("m1", None) == "m1"
    assert values.read_parent("", None) is None
    assert values.read_parent(None, None) is None
    for odd in (5, "two words", ["m1"]):
        with pytest.raises(ValueError, match="parentTaskId is not an id"):
            values.read_parent(odd, None)


@pytest.mark.parametrize(("given", "code"), [(0, None), (200, None), ("200", None), (500, 500)])
def test_codes_that_say_no_error_are_none(given: object, code: int | None) -> None:
    assert values.read_error_code(given, None) == code


def test_urls_are_up_to_64_and_odd_ones_are_skipped() -> None:
    assert values.read_urls(["https://a", 5, "", "a\nb", "x" * 8_193]) == ("https://a",)
    assert values.read_urls([f"u{n}" for n in range(70)]) == tuple(f"u{n}" for n in range(64))
    assert values.read_urls("https://a") == ()


def test_a_message_is_printable_and_an_empty_one_is_none() -> None:
    assert values.read_message("no\x1b[2J credits", None) == "no?[2J credits"
    assert values.read_message("", None) is None
    assert values.read_message(5, None) is None
