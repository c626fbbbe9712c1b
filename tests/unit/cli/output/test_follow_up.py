"""The next steps after a run with a ledger file, and the commands to be copied."""

import shlex
from datetime import UTC, datetime

import attrs
import pytest

from suno_cover_async import (
    CoverDetails,
    Covered,
    CoverExpiredError,
    CoverStatus,
    CoverTimeoutError,
    InvalidRequestError,
    Progress,
    ServerError,
    Track,
)
from suno_cover_async.cli.output.follow_up import Command, LedgerFollowUp, command_line
from tests.support.reports import a_report, failure
from tests.support.terminal import console, log, said

COMMAND = Command(
    catalog="my songs.csv",
    ledger="covers.db",
    options=["--out", "art"],
    longer=["--out", "art", "--timeout", "1800"],
)

REVIEW = [
    "next, choose one image of each cover, on a page in your browser:",
    "  suno-cover review covers.db",
]


def next_steps(
    numbers: Progress, *, bad_lines: int = 0, waiting: int = 0, command: Command = COMMAND
) -> list[str]:
    there = log()
    report = a_report(numbers, bad_lines=bad_lines, waiting=waiting)
    LedgerFollowUp(there, command).say_next(report)
    return said(there).splitlines()


@pytest.mark.parametrize(
    ("runs", "left", "who"),
    [
        (1, 2, "1 other run goes on with the 2 tracks left"),
        (3, 1, "3 other runs go on with the 1 track left"),
    ],
)
def test_others_that_go_on_are_told_with_what_is_left_for_them(
    runs: int, left: int, who: str
) -> None:
    said, command = next_steps(Progress(total=9, done=9 - left, other_runs=runs))[:2]

    assert said == f"{who}; the same command joins in, and never pays twice:"
    assert command == f"  {COMMAND.again()}"


def test_nothing_is_told_of_others_where_the_ledger_cannot_be_read() -> None:
    there = log()
    numbers = Progress(total=9, done=9, other_runs=1, outdated_since=datetime.now(UTC))

    LedgerFollowUp(there, COMMAND).say_next(a_report(numbers, shared=True))

    what, command = said(there).splitlines()
    assert what.startswith("once the ledger can be read, the same command goes on with what is le")
    assert command == f"  {COMMAND.again()}"


def test_the_command_that_continues_is_quoted_for_a_shell() -> None:
    assert shlex.split(COMMAND.again("--retry-failed")) == [
        *("suno-cover", "batch", "my songs.csv", "--ledger", "covers.db"),
        *("--out", "art", "--retry-failed"),
    ]
    assert COMMAND.show() == "suno-cover ledger show covers.db"


@pytest.mark.parametrize(
    ("catalog", "ledger", "again", "show"),
    [
        ("-", "c.db", "batch - --ledger c.db", "ledger show c.db"),
        ("-x.csv", "c.db", "batch --ledger c.db -- -x.csv", "ledger show c.db"),
        ("a.csv", "-c.db", "batch a.csv --ledger -c.db", "ledger show -- -c.db"),
    ],
)
def test_a_name_that_begins_with_a_dash_is_no_option(
    catalog: str, ledger: str, again: str, show: str
) -> None:
    command = Command(catalog=catalog, ledger=ledger, options=[])

    assert command.again() == f"suno-cover {again}"
    assert command.show() == f"suno-cover {show}"


def test_a_command_has_no_control_character_and_any_length() -> None:
    line = command_line("generate", "\x1b[2J", "x" * 9_000)

    assert line.isprintable()
    assert line.endswith("x" * 9_000)


def test_fifty_failures_are_written_at_once_and_then_the_command_that_lists_all() -> None:
    there = log()
    follow_up = LedgerFollowUp(there, COMMAND)

    for number in range(53):
        follow_up.add(failure(InvalidRequestError("x"), f"m{number}"))

    *failures, words, command = said(there).splitlines()
    assert failures == [f"failed: m{number}: x" for number in range(50)]
    assert words == "further failures are counted only; this command lists them:"
    assert command == "  suno-cover ledger show covers.db"


def test_nothing_is_written_of_a_cover_that_is_saved() -> None:
    there = log()
    details = CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS)

    LedgerFollowUp(there, COMMAND).add(Covered(track=Track("m"), details=details))

    assert said(there) == ""


def test_covers_that_expired_are_named_up_to_twenty() -> None:
    there = log()
    follow_up = LedgerFollowUp(there, COMMAND)
    for number in range(23):
        follow_up.add(failure(CoverExpiredError("x"), f"m{number}"))
    follow_up.add(failure(CoverExpiredError("x", retryable=True), "later"))
    follow_up.add(failure(InvalidRequestError("x"), "other"))
    before = len(said(there).splitlines())

    follow_up.say_next(a_report())

    first, *names, last = said(there).splitlines()[before:]
    assert first.startswith("23 covers expired: the images are gone for good")
    assert names == [f"  m{number}" for number in range(20)]
    assert last == "  and 3 more"


def test_what_failed_is_retried_only_by_a_command_of_its_own() -> None:
    one = next_steps(Progress(total=5, done=4, failed=1))
    many = next_steps(Progress(total=5, done=3, failed=2))

    assert one == [
        "1 track failed or needs attention; to list them with reasons:",
        "  suno-cover ledger show covers.db",
        "to try again (a cover that failed may be billed again):",
        "  suno-cover batch 'my songs.csv' --ledger covers.db --out art --retry-failed",
        *REVIEW,
    ]
    assert many[0].startswith("2 tracks failed or need attention")


def test_what_is_left_is_continued_by_the_same_command() -> None:
    assert next_steps(Progress(total=1_234), bad_lines=2) == [
        "left out: 2 lines of the catalog without a track",
        "1,234 tracks are left; the same command continues, and never pays twice:",
        "  suno-cover batch 'my songs.csv' --ledger covers.db --out art",
    ]


@pytest.mark.parametrize("late_first", [True, False])
def test_after_a_time_out_the_command_that_continues_waits_longer(late_first: bool) -> None:
    there = log()
    follow_up = LedgerFollowUp(there, COMMAND)
    errors = [CoverTimeoutError("not yet"), ServerError("x")]
    for number, error in enumerate(errors if late_first else reversed(errors)):
        follow_up.add(failure(error, f"m{number}"))

    follow_up.say_next(a_report(Progress(total=2)))

    assert said(there).splitlines()[2:] == [
        "2 tracks are left; waiting longer, this command continues, and never pays twice:",
        "  suno-cover batch 'my songs.csv' --ledger covers.db --out art --timeout 1800",
    ]


def test_with_all_saved_the_next_step_is_to_choose_images() -> None:
    assert next_steps(Progress(total=3, done=3)) == REVIEW
    assert next_steps(Progress(total=0)) == []


def test_a_command_is_one_line_on_any_terminal() -> None:
    there = console(20)

    LedgerFollowUp(there, COMMAND).say_next(a_report(Progress(total=1)))

    assert COMMAND.again() in said(there)


LIMITED = attrs.evolve(COMMAND, max_covers=3)


def test_a_limit_that_is_reached_is_named_with_what_waits_and_the_command_without_it() -> None:
    lines = next_steps(Progress(total=3_000, done=3), waiting=2_997, command=LIMITED)

    assert lines == [
        (
            "--max-covers 3 is reached: 2,997 tracks wait; look at the covers, then run again with "
            "a larger --max-covers, or without:"
        ),
        "  suno-cover batch 'my songs.csv' --ledger covers.db --out art",
        *REVIEW,
    ]


def test_what_is_left_for_other_reasons_is_said_beside_what_waits_and_keeps_the_limit() -> None:
    lines = next_steps(Progress(total=5, done=2), waiting=1, command=LIMITED)

    assert "--max-covers 3 is reached: 1 track waits" in lines[0]
    assert lines[2].startswith("2 tracks are left; the same command continues")
    assert lines[3].endswith("--out art --max-covers 3")
