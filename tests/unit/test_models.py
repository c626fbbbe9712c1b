"""Values of the domain: what is final, what is ready, how long it took."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    Callback,
    Choice,
    Covered,
    CoverTask,
    Decision,
    Failed,
    InFlight,
    LedgerEntry,
    LedgerRun,
    Progress,
    ServerError,
    Step,
    TrackState,
)
from suno_cover_async.common.records import Record
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


TRACK = Track("m1", title="Söng", columns=MappingProxyType({"year": 2026, "tags": ["a"]}))
TASK = CoverTask(cover_task_id="c1", music_task_id="m1", adopted=True)
DETAILS = CoverDetails(
    cover_task_id="c1",
    music_task_id="m1",
    status=CoverStatus.SUCCESS,
    images=("https://x/1.png", "https://x/2.png"),
    created_at=NOON,
)
WRITTEN_TRACK = {"music_task_id": "m1", "title": "Söng", "columns": {"year": 2026, "tags": ["a"]}}
WRITTEN_DETAILS = {
    "cover_task_id": "c1",
    "music_task_id": "m1",
    "status": "SUCCESS",
    "images": ["https://x/1.png", "https://x/2.png"],
    "created_at": "2026-05-01T12:00:00+00:00",
    "completed_at": None,
    "error_code": None,
    "error_message": None,
}
FAILURE = ServerError("broken", music_task_id="m1")
WRITTEN_CHOICE = {
    "decision": "undecided",
    "image": None,
    "revision": 0,
    "decided_at": None,
    "decided_by": None,
}
VALUES: list[tuple[Record, Mapping[str, object]]] = [
    (TRACK, WRITTEN_TRACK),
    (TASK, {"cover_task_id": "c1", "music_task_id": "m1", "adopted": True}),
    (DETAILS, WRITTEN_DETAILS),
    (Choice(), WRITTEN_CHOICE),
    (
        Choice(decision=Decision.IMAGE, image=2, revision=3, decided_at=NOON, decided_by="Ann"),
        {
            "decision": "image",
            "image": 2,
            "revision": 3,
            "decided_at": "2026-05-01T12:00:00+00:00",
            "decided_by": "Ann",
        },
    ),
    (
        MusicDetails(music_task_id="m1", status="SUCCESS", audio_urls=("https://x/a.mp3",)),
        {"music_task_id": "m1", "status": "SUCCESS", "audio_urls": ["https://x/a.mp3"]},
    ),
    (
        Callback(music_task_id="m1", cover_task_id="c1"),
        {"music_task_id": "m1", "cover_task_id": "c1"},
    ),
    (
        Covered(track=TRACK, details=DETAILS, files=(Path("covers/a-1.png"),)),
        {"track": WRITTEN_TRACK, "details": WRITTEN_DETAILS, "files": ["covers/a-1.png"]},
    ),
    (Failed(track=TRACK, error=FAILURE), {"track": WRITTEN_TRACK, "error": FAILURE.to_dict()}),
    (
        InFlight(track=TRACK, step=Step.SAVE, since=1.5),
        {"track": WRITTEN_TRACK, "step": "saving", "since": 1.5},
    ),
    (
        Progress(total=2, done=1),
        {"total": 2, "done": 1}
        | dict.fromkeys(
            ["failed", "in_flight", "billed", "adopted", "possibly_billed", "other_runs"], 0
        )
        | {"outdated_since": None},
    ),
    (
        LedgerEntry(
            number=1, tracks=(TRACK,), state=TrackState.SAVED, task=TASK, files=(Path("a"),)
        ),
        {
            "number": 1,
            "tracks": [WRITTEN_TRACK],
            "state": "saved",
            "task": TASK.to_dict(),
            "images": [],
            "files": ["a"],
            "submits": 0,
            "choice": WRITTEN_CHOICE,
        }
        | dict.fromkeys(["created_at", "completed_at", "saved_on", "error", "reason"]),
    ),
    (
        LedgerRun(
            number=1,
            began_at=NOON,
            ended_at=None,
            balance_before=3.5,
            balance_after=None,
            submitted=1,
            adopted=0,
        ),
        {
            "number": 1,
            "began_at": "2026-05-01T12:00:00+00:00",
            "ended_at": None,
            "balance_before": 3.5,
            "balance_after": None,
            "submitted": 1,
            "adopted": 0,
        },
    ),
]


@pytest.mark.parametrize(("value", "written"), VALUES, ids=lambda value: type(value).__name__)
def test_every_public_value_is_written_as_data_for_json(
    value: Record, written: Mapping[str, object]
) -> None:
    data = value.to_dict()

    assert data == written
    assert json.loads(json.dumps(data)) == written


@pytest.mark.parametrize("value", [value for value, _ in VALUES if not isinstance(value, Failed)])
def test_a_value_that_was_written_is_read_back_from_its_json(value: Record) -> None:
    assert type(value).from_dict(json.loads(json.dumps(value.to_dict()))) == value


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"cover_task_id": "c1", "status": "LOST"},
        {"cover_task_id": 5, "status": "SUCCESS"},
        {"cover_task_id": "c1", "status": "SUCCESS", "images": "https://x/1.png"},
        {"cover_task_id": "c1", "status": "SUCCESS", "created_at": "today"},
        5,
        None,
    ],
)
def test_data_of_another_form_is_an_error_that_names_the_class(data: Any) -> None:
    with pytest.raises(ValueError, match="is not what CoverDetails"):
        CoverDetails.from_dict(data)


def test_a_failure_is_not_read_back_since_its_error_is_not() -> None:
    with pytest.raises(ValueError, match="is not what Failed"):
        Failed.from_dict(Failed(track=TRACK, error=FAILURE).to_dict())


def test_a_status_is_written_as_text_and_read_back_as_a_status() -> None:
    data = DETAILS.to_dict()

    assert type(data["status"]) is str
    assert CoverDetails.from_dict(data).status is CoverStatus.SUCCESS


def test_a_notebook_shows_details_as_a_table_with_links_and_requests_nothing() -> None:
    made = datetime.now(UTC) - timedelta(days=13)
    details = CoverDetails(
        cover_task_id="<script>",
        status=CoverStatus.SUCCESS,
        images=("https://a.example/1.png?<b>", "javascript:alert(1)"),
        completed_at=made,
    )

    page = details._repr_html_()

    assert '<a href="https://a.example/1.png?&lt;b&gt;" rel="noreferrer noopener"' in page
    assert page.count("<a ") == 1
    assert "for 23 hours more" in page
    for tag in ("<img", "<script", "<b>"):
        assert tag not in page


def test_a_notebook_says_that_images_are_over_their_14_days_or_that_a_cover_failed() -> None:
    old = CoverDetails(
        cover_task_id="c",
        status=CoverStatus.SUCCESS,
        images=("https://a.example/1.png",),
        created_at=datetime(2020, 1, 1, tzinfo=UTC),
    )
    failed = CoverDetails(
        cover_task_id="c", status=CoverStatus.FAILED, error_code=501, error_message="no <luck>"
    )

    assert "no longer: 14 days are over" in old._repr_html_()
    assert "no &lt;luck&gt; (code 501)" in failed._repr_html_()
    naive = attrs.evolve(old, created_at=datetime(2020, 1, 1))  # noqa: DTZ001 - a caller's mistake
    assert "14 days from its end" in naive._repr_html_()
    assert "none yet" in CoverDetails(cover_task_id="c", status=CoverStatus.PENDING)._repr_html_()
