"""Values of the domain: what is final, what is ready, how long it took."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from suno_cover_async.models import CoverDetails, CoverStatus, MusicDetails, Track

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "is_final"),
    [
        (CoverStatus.PENDING, False),
        (CoverStatus.GENERATING, False),
        (CoverStatus.SUCCESS, True),
        (CoverStatus.FAILED, True),
    ],
)
def test_a_success_and_a_failure_are_final(status: CoverStatus, *, is_final: bool) -> None:
    assert status.finished is is_final
    assert CoverDetails(cover_task_id="c1", status=status).finished is is_final


@pytest.mark.parametrize("status", CoverStatus)
def test_a_status_is_a_str_that_compares_formats_and_is_written_as_its_name(
    status: CoverStatus,
) -> None:
    assert status == status.name == f"{status}" == str(status)
    assert json.dumps(status) == f'"{status.name}"'
    assert CoverStatus(status.name) is status


def test_a_duration_is_known_once_both_of_the_hosts_times_are() -> None:
    details = CoverDetails(
        cover_task_id="c1",
        status=CoverStatus.SUCCESS,
        created_at=NOON,
        completed_at=NOON + timedelta(seconds=41.25),
    )

    assert details.duration == timedelta(seconds=41.25)
    assert attrs.evolve(details, created_at=None).duration is None
    assert attrs.evolve(details, completed_at=None).duration is None


@pytest.mark.parametrize(
    ("status", "audio_urls", "ready", "failed"),
    [
        ("SUCCESS", (), True, False),
        ("SUCCESS", ("https://audio.example/1.mp3",), True, False),
        ("CALLBACK_EXCEPTION", ("https://audio.example/1.mp3",), True, False),
        ("CALLBACK_EXCEPTION", (), False, False),
        ("PENDING", (), False, False),
        ("TEXT_SUCCESS", (), False, False),
        ("FIRST_SUCCESS", ("https://audio.example/1.mp3",), False, False),
        ("CREATE_TASK_FAILED", (), False, True),
        ("GENERATE_AUDIO_FAILED", (), False, True),
        ("SENSITIVE_WORD_ERROR", (), False, True),
        ("FAILED", (), False, True),
        ("OF_TOMORROW", (), False, False),
        ("success", (), False, False),
    ],
)
def test_music_is_ready_or_failed_by_the_hosts_own_status(
    status: str, audio_urls: tuple[str, ...], *, ready: bool, failed: bool
) -> None:
    details = MusicDetails(music_task_id="m1", status=status, audio_urls=audio_urls)

    assert (details.ready, details.failed) == (ready, failed)


@pytest.mark.parametrize("music_task_id", ["m1", "~" * 128, "!"])
def test_a_track_takes_any_id_of_the_api(music_task_id: str) -> None:
    assert Track(music_task_id).title == ""


@pytest.mark.parametrize(
    ("music_task_id", "error", "reason"),
    [
        ("", ValueError, "must not be empty"),
        ("a b", ValueError, "1 to 128 printable ASCII characters"),
        ("x" * 129, ValueError, "1 to 128 printable ASCII characters"),
        ("https://suno.com/song/1", ValueError, "not a URL"),
        (5, TypeError, "must be a str"),
        (None, TypeError, "must be a str"),
    ],
)
def test_a_track_of_no_id_is_refused_by_name(
    music_task_id: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=f"music_task_id.*{reason}"):
        Track(music_task_id)


@pytest.mark.parametrize("title", [None, 5, b"Song"])
def test_a_title_is_a_text(title: Any) -> None:
    with pytest.raises(TypeError, match="title"):
        Track("m1", title=title)


def test_tracks_can_be_counted_whatever_their_columns_hold() -> None:
    first, second = (Track("m1", title="Song", columns={"tags": tags}) for tags in (["a"], ["b"]))

    assert first != second
    assert len({first, second, Track("m1", title="Song", columns={"tags": ["a"]})}) == 2
