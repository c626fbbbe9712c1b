"""The JSON records of a run, on which scripts rely."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suno_cover_async import (
    CoverDetails,
    Covered,
    CoverFailedError,
    CoverStatus,
    CoverTask,
    InsufficientCreditsError,
    InvalidRequestError,
    Progress,
    ServerError,
    SunoCoverError,
    Track,
)
from suno_cover_async.cli.output.records import (
    CreditsRecord,
    DetailsRecord,
    ErrorRecord,
    LastRecord,
    OutcomeRecord,
    SummaryRecord,
    as_json,
    facts,
)
from tests.support.reports import an_entry, failure

URLS = ("https://x/1.png", "https://x/2.png")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DETAILS = CoverDetails(
    cover_task_id="c",
    music_task_id="m",
    status=CoverStatus.SUCCESS,
    images=URLS,
    completed_at=NOON,
)


def test_a_record_is_one_line_of_ascii() -> None:
    record = OutcomeRecord(music_task_id="m", title="Größe\n🎵", state="unfinished")

    line = as_json(record)

    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["title"] == "Größe\n🎵"


def test_a_saved_track_names_its_cover_task_its_urls_and_its_files() -> None:
    files = (Path("covers/1.png"), Path("covers/2.png"))
    covered = Covered(track=Track("m", title="T"), details=DETAILS, files=files)

    assert json.loads(as_json(OutcomeRecord.of(covered))) == {
        "music_task_id": "m",
        "title": "T",
        "state": "saved",
        "cover_task_id": "c",
        "images": list(URLS),
        "files": ["covers/1.png", "covers/2.png"],
        "error": None,
    }


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (InvalidRequestError("x\ny", cover_task_id="c"), "failed"),
        (ServerError("x\ny", cover_task_id="c"), "left"),
        (CoverFailedError(DETAILS), "failed"),
    ],
)
def test_a_track_without_images_is_left_if_the_next_run_tries_again(
    error: SunoCoverError, state: str
) -> None:
    record = OutcomeRecord.of(failure(error, "m", "T"))

    assert (record.music_task_id, record.title, record.state) == ("m", "T", state)
    assert (record.cover_task_id, record.images, record.files) == ("c", (), ())
    assert record.error is not None
    assert (record.error.type, record.error.retryable) == (type(error).__name__, state == "left")
    assert record.error.message.isprintable()


def test_an_argument_that_is_no_id_is_a_failure() -> None:
    record = OutcomeRecord.refused("a b", ValueError("a task id has no space"))

    assert (record.music_task_id, record.state) == ("a b", "failed")
    assert record.error == ErrorRecord(
        type="ValueError", message="a task id has no space", retryable=False
    )


def test_an_unfinished_track_has_its_first_title_and_what_is_paid_for() -> None:
    task = CoverTask(cover_task_id="c", music_task_id="m")
    tracks = (Track("m", title="One"), Track("m", title="Two"))

    paid = OutcomeRecord.unfinished(an_entry(tracks=tracks, task=task, images=URLS))
    unpaid = OutcomeRecord.unfinished(an_entry("m"))

    assert (paid.music_task_id, paid.title, paid.state) == ("m", "One", "unfinished")
    assert (paid.cover_task_id, paid.images) == ("c", URLS)
    assert (unpaid.cover_task_id, unpaid.images) == (None, ())


def test_the_summary_is_the_only_record_with_a_field_of_that_name() -> None:
    numbers = Progress(
        total=100,
        done=50,
        failed=9,
        in_flight=5,
        billed=7,
        adopted=6,
        possibly_billed=4,
        other_runs=2,
        outdated_since=datetime(2026, 5, 1, 12, tzinfo=UTC),
    )

    summary = SummaryRecord.of(
        numbers, credits_used=7.5, reason=InsufficientCreditsError("x"), bad_lines=3, waiting=40
    )

    assert json.loads(as_json(LastRecord(summary=summary))) == {
        "summary": {
            "billed": 7,
            "adopted": 6,
            "possibly_billed": 4,
            "failed": 9,
            "left": 41,
            "waiting": 40,
            "done": 50,
            "total": 100,
            "other_runs": 2,
            "outdated_since": "2026-05-01T12:00:00+00:00",
            "credits_used": 7.5,
            "stopped_by": "InsufficientCreditsError",
            "bad_lines": 3,
        }
    }
    whole = SummaryRecord.of(numbers, credits_used=None, reason=None, bad_lines=0)
    assert (whole.stopped_by, whole.credits_used) == (None, None)


def test_details_are_plain_values_with_the_time_as_text() -> None:
    record = DetailsRecord.of(DETAILS, (Path("covers/1.png"),))

    assert facts(record) == json.loads(as_json(record))
    assert list(facts(record).items()) == [
        ("cover_task_id", "c"),
        ("music_task_id", "m"),
        ("status", "SUCCESS"),
        ("images", list(URLS)),
        ("files", ["covers/1.png"]),
        ("created_at", None),
        ("completed_at", "2026-01-02T12:00:00+00:00"),
        ("error_code", None),
        ("error_message", None),
    ]


def test_credits_are_a_number() -> None:
    assert json.loads(as_json(CreditsRecord(credits=12.5))) == {"credits": 12.5}
