"""The report at the end of a run: what was saved, what it cost, why it stopped."""

from datetime import datetime
from typing import Any

import pytest

from suno_cover_async import (
    CoverTask,
    InvalidRequestError,
    Progress,
    ServerError,
    TransportError,
)
from suno_cover_async.cli.output.report import are, count, say_failure, summarise
from tests.support.reports import a_report, failure
from tests.support.terminal import log, said


def told(numbers: Progress | None = None, **fields: Any) -> list[str]:
    there = log()
    summarise(there, a_report(numbers, **fields), "song")
    return said(there).splitlines()


def test_what_was_saved_comes_first_and_then_what_it_cost() -> None:
    numbers = Progress(total=2_000, done=1_200, failed=3, billed=1_100, adopted=100)

    assert told(numbers, credits_used=1_100.5) == [
        "saved 1,200 of 2,000 songs in covers",
        "billed 1,100, adopted 100, possibly billed 0, failed 3, left 797, credits used 1,100.50",
    ]


def test_credits_that_are_unknown_are_not_mentioned() -> None:
    assert "credits" not in " ".join(told(Progress(total=1, done=1)))
    assert "credits used 0" in " ".join(told(Progress(total=1, done=1), credits_used=0.0))


def test_possibly_billed_songs_are_explained() -> None:
    lines = told(Progress(total=2, possibly_billed=2))

    assert lines[-1] == "  possibly billed: the next run finds out, and never pays twice"


@pytest.mark.parametrize(
    ("total", "line"),
    [
        (1, "nothing left to do: 1 of 1 song is saved"),
        (2, "nothing left to do: 2 of 2 songs are saved"),
    ],
)
def test_an_idle_run_says_that_nothing_was_left_to_do(total: int, line: str) -> None:
    assert told(Progress(total=total, done=total), was_idle=True) == [line]


def test_a_run_without_songs_says_nothing_of_numbers() -> None:
    assert told() == []
    assert told(was_idle=True) == []


def test_the_reason_of_an_early_end_is_said_with_advice_if_there_is_some() -> None:
    numbers = Progress(total=1)

    *_, error, advice = told(numbers, reason=TransportError("no answer\x1b[2J"))
    *_, last = told(numbers, reason=OSError("the disk is full"))

    assert error == "Error: no answer?[2J"
    assert advice.startswith("next: check the network")
    assert last == "Error: the disk is full"


def test_covers_that_the_ledger_does_not_hold_are_named_up_to_a_hundred() -> None:
    tasks = [CoverTask(cover_task_id=f"c{n}", music_task_id=f"m{n}") for n in range(103)]

    few = told(unwritten=tasks[:100])
    many = told(unwritten=tasks)

    assert few[1] == "  music task m0: cover task c0"
    assert few[-1] == "  music task m99: cover task c99"
    assert many[:-1] == few
    assert many[-1] == "  and 3 more"


def test_a_failure_is_one_line_that_says_whether_the_next_run_tries_again() -> None:
    there = log()

    say_failure(there, failure(InvalidRequestError("no such music"), title="Blue\nMoon"))
    say_failure(there, failure(ServerError("broken"), "m2"))

    assert said(there).splitlines() == [
        "failed: Blue?Moon: no such music",
        "left for now: m2: broken",
    ]


def test_a_failure_names_the_song_by_its_title_and_its_id_and_the_id_once() -> None:
    there = log()

    say_failure(there, failure(ServerError("broken", music_task_id="m1"), "m1", title="Blue"))
    say_failure(there, failure(ServerError("broken", music_task_id="m2"), "m2"))

    assert said(there).splitlines() == [
        "left for now: Blue: music task m1: broken",
        "left for now: m2: broken",
    ]


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 songs are"), (1, "1 song is"), (1_234, "1,234 songs are")]
)
def test_a_noun_and_its_verb_agree_with_their_number(number: int, words: str) -> None:
    assert f"{count(number, 'song')} {are(number)}" == words


def test_where_a_shared_ledger_cannot_be_read_only_this_runs_own_numbers_are_told() -> None:
    moment = datetime(2026, 5, 1, 12, 30, 5).astimezone()
    numbers = Progress(
        total=400,
        done=129,
        failed=2,
        billed=14,
        possibly_billed=1,
        other_runs=1,
        outdated_since=moment,
    )

    assert told(numbers, shared=True, saved=9) == [
        "this run saved 9 songs in covers",
        "billed 14, adopted 0, possibly billed 1",
        "the ledger cannot be read; at 12:30:05 it had 129 of 400 songs saved, 2 failed",
    ]
    assert told(numbers)[0] == "saved 129 of 400 songs in covers"  # a file has no other runs
