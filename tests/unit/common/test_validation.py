"""Checks of arguments: what passes, and errors that name the argument."""

import math
from pathlib import Path

import attrs
import pytest

from suno_cover_async.common import validation


@pytest.mark.parametrize("value", ["a", "x" * 128, "73d6128b3523a0079df10da9471017c8", "a/b?c"])
def test_an_id_is_1_to_128_printable_ascii_characters(value: str) -> None:
    assert validation.task_id("music_task_id", value) == value
    assert validation.is_task_id(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "not be empty"),
        ("x" * 129, "1 to 128 printable ASCII"),
        ("two words", "1 to 128 printable ASCII"),
        ("é", "1 to 128 printable ASCII"),
        ("https://suno.com/song/a", "not a URL"),
    ],
)
def test_what_is_no_id_is_refused_by_the_name_of_the_argument(value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"music_task_id must.*{reason}"):
        validation.task_id("music_task_id", value)
    assert not validation.is_task_id(value)


def test_an_id_that_is_no_text_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="music_task_id must be a str, not 5"):
        validation.task_id("music_task_id", 5)  # type: ignore[arg-type]
    assert not validation.is_task_id(None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.example", "https://api.example"),
        ("https://api.example/", "https://api.example"),
        ("https://api.example:8443/sub/", "https://api.example:8443/sub"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:5", "http://[::1]:5"),
    ],
)
def test_a_base_url_is_https_or_loopback_and_loses_its_last_slash(given: str, kept: str) -> None:
    assert validation.base_url("base_url", given) == kept


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("http://api.example", "be https"),
        ("ftp://api.example", "be https"),
        ("https://api.example?", "no query and no fragment"),
        ("https://api.example/#a", "no query and no fragment"),
        ("https://user:secret@api.example", "user name or a password"),
        ("https://api.example/api/v1", "give https://api.example"),
        ("https://api.example/API/V1/api/v1/", "give https://api.example"),
        ("api.example", "a scheme, a host"),
        ('"https://api.example"', "without quotation marks"),
        ("'https://api.example", "without quotation marks"),
        ("https://", "a scheme, a host"),
        ("https://api.example:0", "a scheme, a host"),
        ("https://[::1].evil", "a scheme, a host"),
        ("https://a b", "without spaces"),
        ("https://" + "a" * 2048, "1 to 2048"),
    ],
)
def test_a_base_url_that_could_send_the_key_astray_is_refused(given: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"base_url must.*{reason}"):
        validation.base_url("base_url", given)


def test_a_callback_url_is_http_or_https() -> None:
    assert validation.callback_url("callback_url", "http://h/x?y=1") == "http://h/x?y=1"
    with pytest.raises(ValueError, match="callback_url must be an http or https URL"):
        validation.callback_url("callback_url", "ftp://h/x")


@pytest.mark.parametrize("value", [1, 10**9])
def test_a_count_is_a_whole_number_of_at_least_1(value: int) -> None:
    assert validation.count("calls", value) == value


def test_a_count_may_begin_at_another_number() -> None:
    assert validation.count("max_covers", 0, least=0) == 0
    with pytest.raises(ValueError, match="max_covers must be a whole number of at least 0, not -1"):
        validation.count("max_covers", -1, least=0)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None])
def test_any_other_count_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="calls must be a whole number of at least 1"):
        validation.count("calls", value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -0.1, math.inf, math.nan, 10**400])
def test_seconds_are_finite_and_above_0(value: float) -> None:
    assert validation.positive("seconds", 0.1) == 0.1
    assert validation.positive_or_none("seconds", None) is None
    for check in (validation.positive, validation.positive_or_none):
        with pytest.raises(ValueError, match="seconds must be a finite number above 0"):
            check("seconds", value)
    with pytest.raises(TypeError, match="seconds must be a"):
        validation.positive("seconds", "5")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "a", "//a", "/a b", "/é"])
def test_a_path_begins_with_one_slash(value: str) -> None:
    assert validation.path("credits_path", "/api/v1/x") == "/api/v1/x"
    with pytest.raises(ValueError, match="credits_path must be a path such as"):
        validation.path("credits_path", value)


def test_a_folder_need_not_exist_but_must_be_possible() -> None:
    assert validation.folder("into", "not/there") == Path("not/there")
    for impossible in ("a\0b", "\ud800"):
        with pytest.raises(ValueError, match="into must be a path that is valid on this system"):
            validation.folder("into", impossible)
    with pytest.raises(TypeError):
        validation.folder("into", 5)  # type: ignore[arg-type]


def test_a_default_stands_for_none_only() -> None:
    assert validation.given(None, 5) == 5
    assert validation.given(0, 5) == 0


def test_a_checked_attribute_is_named_in_the_error() -> None:
    @attrs.frozen
    class Value:
        calls: int = attrs.field(validator=validation.checked(validation.count))

    with pytest.raises(ValueError, match="calls must be"):
        Value(0)
