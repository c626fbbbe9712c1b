"""When results are written, and what is done if they cannot be."""

import json
from pathlib import Path

import pytest

from suno_cover_async import Progress
from suno_cover_async.cli.output.records import OutcomeRecord, SummaryRecord
from suno_cover_async.cli.output.results import Results, When, is_watched
from tests.support.commands import FULL, needs_full
from tests.support.streams import on_a_terminal, without_a_reader, written_to

SAVED = OutcomeRecord(
    music_task_id="m", title="", state="saved", files=(Path("-1.png"), Path("art/2.png"))
)
UNFINISHED = OutcomeRecord(music_task_id="n", title="", state="unfinished")
SUMMARY = SummaryRecord.of(Progress(total=2), credits_used=None, reason=None, bad_lines=0)


@pytest.mark.parametrize(
    ("when", "at_once", "at_end"),
    [
        (When.NOW, ["./-1.png", "art/2.png"], []),
        (When.AT_END, [], ["./-1.png", "art/2.png"]),
        (When.NEVER, [], []),
    ],
)
def test_paths_are_written_when_they_should_be(
    when: When, at_once: list[str], at_end: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(with_json=False, when=when)

    results.add(SAVED)
    first = capsys.readouterr().out.splitlines()
    results.end([UNFINISHED], SUMMARY)

    assert first == at_once
    assert capsys.readouterr().out.splitlines() == at_end


def test_json_is_an_object_for_each_track_and_the_summary_comes_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = Results(with_json=True, when=When.AT_END)
    results.add(SAVED)
    results.end([UNFINISHED], SUMMARY)

    saved, unfinished, last = map(json.loads, capsys.readouterr().out.splitlines())

    assert (saved["state"], unfinished["state"]) == ("saved", "unfinished")
    assert last["summary"]["total"] == 2


@needs_full
def test_a_full_disk_is_kept_as_trouble_and_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(with_json=True, when=When.NOW)
    with written_to(FULL, monkeypatch):
        results.add(SAVED)
        first = results.trouble
        results.end([UNFINISHED], SUMMARY)

    assert first is not None
    assert "standard output cannot be written: No space left" in str(first)
    assert results.trouble is first


def test_a_reader_that_has_left_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(with_json=True, when=When.NOW)
    with without_a_reader("stdout", monkeypatch):
        results.add(SAVED)
        results.end([UNFINISHED], SUMMARY)

    assert results.trouble is None


def test_results_tear_no_display_unless_both_are_on_one_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_a_terminal(monkeypatch)

    assert not is_watched()  # standard error is none
    assert not Results(with_json=False, when=When.NOW).tear_a_display


def test_only_what_is_written_at_once_tears_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", on_a_terminal(monkeypatch))

    torn = {when: Results(with_json=True, when=when).tear_a_display for when in When}

    assert torn == {When.NOW: True, When.AT_END: False, When.NEVER: False}
