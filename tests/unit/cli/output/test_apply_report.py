import json
from pathlib import Path

import pytest

from suno_cover_async import Decision, Track
from suno_cover_async.artwork import (
    PRESETS,
    Applied,
    ApplyOutcome,
    Converted,
    NotApplied,
    NotChosen,
)
from suno_cover_async.cli.output.apply_report import ApplyRecord, ApplyReport
from suno_cover_async.cli.output.results import When
from tests.support.terminal import log, said

TRACK = Track("a1", title="A")


def a_file(side: int = 3000, *, is_new: bool = True) -> Applied:
    converted = Converted(
        width=side,
        height=side,
        source_width=side,
        source_height=side,
        sha256="aa",
        source_sha256="bb",
    )
    return Applied(track=TRACK, image=2, file=Path("x.jpg"), is_new=is_new, converted=converted)


def report(
    *outcomes: ApplyOutcome,
    preset: str = "store",
    with_json: bool = False,
    when: When = When.NOW,
    dry_run: bool = False,
) -> str:
    """The words for people of a report of these outcomes."""
    console = log(200)
    one = ApplyReport(
        console=console,
        ledger="covers.db",
        into=Path("artwork"),
        preset=PRESETS[preset],
        with_json=with_json,
        when=when,
        dry_run=dry_run,
    )
    for outcome in outcomes:
        one.add(outcome)
    one.end()
    return said(console)


def test_the_summary_counts_every_end() -> None:
    words = report(
        a_file(),
        a_file(),
        a_file(is_new=False),
        NotChosen(track=TRACK, decision=Decision.UNDECIDED),
        NotChosen(track=TRACK, decision=Decision.LATER),
        NotChosen(track=TRACK, decision=Decision.NEITHER),
        NotApplied(track=TRACK, image=1, reason="the file is missing: x"),
    )

    assert "written 2, unchanged 1, undecided 1, later 1, neither 1, failed 1: artwork\n" in words
    assert (
        "next: choose with suno-cover review covers.db, or take the first image of 1 cover" in words
    )


def test_a_failure_is_a_line_with_the_song_and_the_reason() -> None:
    assert "failed: A: the file is missing: x\n" in report(
        NotApplied(track=TRACK, image=1, reason="the file is missing: x")
    )


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ((1024,), "1 image is smaller than the 3000 × 3000 that stores ask for"),
        ((1024,), "not enlarged: 1024 × 1024 pixels; --upscale enlarges"),
        ((1400, 1024, 3000), "2 images are smaller"),
        ((1400, 1024, 3000), "not enlarged: 1024 × 1024 to 1400 × 1400 pixels;"),
    ],
)
def test_one_line_warns_of_images_that_are_too_small_and_says_their_size(
    sides: tuple[int, ...], words: str
) -> None:
    text = report(*map(a_file, sides))

    assert text.count("warning:") == 1
    assert words in text


def test_files_that_were_there_are_warned_of_too() -> None:
    assert "1 image is smaller" in report(a_file(1024, is_new=False))


def test_no_line_warns_where_no_size_is_required_or_all_have_it() -> None:
    assert "warning" not in report(a_file(1024), preset="web")
    assert "warning" not in report(a_file(3000))


def test_a_pipe_gets_the_paths(capsys: pytest.CaptureFixture[str]) -> None:
    report(a_file(), NotChosen(track=TRACK, decision=Decision.LATER), a_file(is_new=False))

    assert capsys.readouterr().out == "x.jpg\nx.jpg\n"


@pytest.mark.parametrize("when", [When.NOW, When.AT_END])
def test_json_has_an_object_for_each_title_and_a_summary(
    capsys: pytest.CaptureFixture[str], when: When
) -> None:
    report(
        a_file(),
        NotApplied(track=TRACK, image=1, reason="no"),
        NotChosen(track=TRACK, decision=Decision.LATER),
        with_json=True,
        when=when,
    )

    *records, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [record["state"] for record in records] == ["written", "failed", "later"]
    assert records[0] == {
        "music_task_id": "a1",
        "title": "A",
        "state": "written",
        "image": 2,
        "file": "x.jpg",
        "width": 3000,
        "height": 3000,
        "sidecar": None,
        "reason": None,
    }
    assert last == {
        "summary": {
            "written": 1,
            "unchanged": 0,
            "planned": 0,
            "undecided": 0,
            "later": 1,
            "neither": 0,
            "failed": 1,
        }
    }


def test_nothing_is_written_to_a_terminal_that_shows_a_bar(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(a_file(), when=When.NEVER)

    assert capsys.readouterr().out == ""


def test_a_dry_run_counts_what_would_be_written() -> None:
    would = Applied(track=TRACK, image=1, file=Path("x.jpg"), is_new=True)

    assert ApplyRecord.of(would, dry_run=True).state == "planned"
    assert report(would, dry_run=True).startswith("would write 1, unchanged 0, ")
