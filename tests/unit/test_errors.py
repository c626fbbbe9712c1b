"""Errors: one tree, facts for programs, and what may succeed later."""

import json
import pickle
import re
from typing import Any

import pytest

from suno_cover_async import errors
from suno_cover_async.errors import (
    APIError,
    CoverFailedError,
    CoverTimeoutError,
    MusicFailedError,
    RateLimitError,
    ServerError,
    SunoCoverError,
    TransportError,
)
from suno_cover_async.models import CoverDetails, CoverStatus, MusicDetails

KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, SunoCoverError)
}
MAY_SUCCEED_LATER = {
    "TransportError",
    "ImagesMissingError",
    "RateLimitError",
    "MaintenanceError",
    "ServerError",
    "CoverTimeoutError",
}
FAILED_COVER = CoverDetails(
    cover_task_id="c1",
    music_task_id="m1",
    status=CoverStatus.FAILED,
    error_code=531,
    error_message="refunded",
)
DETAILED = (CoverFailedError, MusicFailedError)
FAILED_MUSIC = MusicDetails(music_task_id="m1", status="SENSITIVE_WORD_ERROR")


def drawn_tree() -> dict[str, str]:
    """Read the parent of each error from the tree in the module's docstring."""
    parents: dict[str, str] = {}
    branch: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"(    (?:[│ ]   )*(?:[├└]── )?)(\w+Error)\b", line)
        if found:
            depth, name = len(found[1]), found[2]
            branch = [(other, parent) for other, parent in branch if other < depth]
            parents[name] = branch[-1][1] if branch else "Exception"
            branch.append((depth, name))
    return parents


def a_kind(kind: type[SunoCoverError]) -> SunoCoverError:
    if kind is MusicFailedError:
        return MusicFailedError(FAILED_MUSIC)
    return CoverFailedError(FAILED_COVER) if kind is CoverFailedError else kind("Oh dear")


def test_the_tree_is_the_one_that_is_drawn() -> None:
    assert drawn_tree() == {name: kind.__bases__[0].__name__ for name, kind in KINDS.items()}


def test_an_error_may_succeed_later_where_its_cause_passes() -> None:
    assert {name for name, kind in KINDS.items() if a_kind(kind).retryable} == MAY_SUCCEED_LATER


def test_one_error_may_differ_from_its_kind_and_changes_no_other() -> None:
    assert not TransportError("x", retryable=False).retryable
    assert APIError("x", retryable=True).retryable
    assert TransportError("x").retryable
    assert not APIError("x").retryable


def test_an_error_has_the_message_and_all_facts_that_are_known() -> None:
    error = ServerError("x", code=500, http_status=200, music_task_id="m", cover_task_id="c")
    bare = ServerError("x")

    assert (str(error), error.message) == ("music task m: x", "x")
    assert (error.code, error.http_status) == (500, 200)
    assert (error.music_task_id, error.cover_task_id) == ("m", "c")
    assert (bare.code, bare.http_status, bare.music_task_id, bare.cover_task_id) == (None,) * 4
    assert bare.retry_after is None
    assert not bare.possibly_billed


def test_a_wait_that_took_too_long_is_a_timeout_of_python_too() -> None:
    with pytest.raises(TimeoutError, match="not finished"):
        raise CoverTimeoutError("not finished", cover_task_id="c1")


def test_a_failed_cover_says_why_and_keeps_its_details() -> None:
    error = CoverFailedError(FAILED_COVER)
    silent = CoverFailedError(CoverDetails(cover_task_id="c2", status=CoverStatus.FAILED))

    assert str(error) == "music task m1: cover task c1 failed: refunded"
    assert (error.code, error.music_task_id, error.cover_task_id) == (531, "m1", "c1")
    assert error.details is FAILED_COVER
    assert str(silent) == "cover task c2 failed: the API gave no reason"


def test_failed_music_says_what_to_do_and_keeps_its_details() -> None:
    error = MusicFailedError(FAILED_MUSIC)

    assert "music task m1 ended as SENSITIVE_WORD_ERROR" in str(error)
    assert "generate the music again" in str(error)
    assert (error.music_task_id, error.cover_task_id, error.code) == ("m1", None, None)
    assert error.details is FAILED_MUSIC


@pytest.mark.parametrize("kind", [one for one in KINDS.values() if one not in DETAILED])
def test_the_message_of_an_error_about_a_song_names_it_once(kind: type[SunoCoverError]) -> None:
    error = kind("Oh dear")
    assert str(error) == "Oh dear"

    error.cover_task_id = "c1"
    assert str(error) == "cover task c1: Oh dear"

    error.music_task_id = "m1"
    assert str(error) == f"{error}" == "music task m1: Oh dear"
    assert str(kind("music task m1 is late", music_task_id="m1")) == "music task m1 is late"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own


def test_an_error_is_data_for_json() -> None:
    error = RateLimitError("slow down", code=429, http_status=200, music_task_id="m1")

    assert json.loads(json.dumps(error.to_dict())) == {
        "type": "RateLimitError",
        "message": "music task m1: slow down",
        "retryable": True,
        "possibly_billed": False,
        "code": 429,
        "http_status": 200,
        "music_task_id": "m1",
        "cover_task_id": None,
    }


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_error_is_written_by_its_class_and_message(kind: type[SunoCoverError]) -> None:
    error = a_kind(kind)

    written = json.loads(json.dumps(error.to_dict()))

    assert (written["type"], written["message"]) == (kind.__name__, str(error))


def with_facts(error: Any, **facts: Any) -> SunoCoverError:
    for name, value in facts.items():
        setattr(error, name, value)
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "error",
    [
        RateLimitError("x", code=429, http_status=200, music_task_id="m"),
        CoverTimeoutError("x", cover_task_id="c"),
        with_facts(RateLimitError("x"), retry_after=3.0),
        with_facts(TransportError("x", retryable=False), possibly_billed=True),
        CoverFailedError(FAILED_COVER),
        with_facts(CoverFailedError(FAILED_COVER), music_task_id="m2", retryable=True),
        MusicFailedError(FAILED_MUSIC),
        with_facts(MusicFailedError(FAILED_MUSIC), possibly_billed=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling_with_their_facts(error: SunoCoverError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
