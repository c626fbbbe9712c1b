"""What a check found, as one line; checks that hang; the exit code."""

import threading

import pytest

from suno_cover_async.cli.doctor.finding import (
    State,
    exit_code_of,
    fault,
    is_hanging,
    not_checked,
    ok,
    warning,
    within,
)
from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.waiting import until


def test_a_finding_is_one_printable_line_without_what_is_hidden() -> None:
    told = warning("API", "it said\r\n\x1b[31msk-secret\u202e", "do \x07 it" + "x" * 5000)

    shown = told.shown(lambda text: text.replace("sk-secret", "[key]"))

    assert shown.message == "it said ?[31m[key]?"
    assert len(shown.advice or "") == 500
    assert shown.state is State.WARNING
    assert shown.message.isprintable()


def test_a_key_that_the_cut_would_halve_is_hidden_first() -> None:
    told = ok("API", "x" * 495 + "sk-secret")

    shown = told.shown(lambda text: text.replace("sk-secret", "[key]"))

    assert "sk-" not in shown.message


def test_a_record_has_four_fields() -> None:
    assert fault("key", "there is none", "set it", code=ExitCode.KEY).record() == {
        "check": "key",
        "state": "fault",
        "message": "there is none",
        "advice": "set it",
    }


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], ExitCode.DONE),
        ([ExitCode.FAILED], ExitCode.FAILED),
        ([ExitCode.FAILED, ExitCode.USAGE], ExitCode.USAGE),
        ([ExitCode.USAGE, ExitCode.KEY, ExitCode.FAILED], ExitCode.KEY),
    ],
)
def test_the_key_weighs_more_than_the_command_line_and_that_more_than_others(
    codes: list[ExitCode], expected: ExitCode
) -> None:
    others = [ok("a", "b"), warning("c", "d", "e"), not_checked("f", "g")]

    assert exit_code_of([*others, *(fault("x", "y", code=code) for code in codes)]) == expected


async def test_what_is_done_in_time_is_returned_or_raised() -> None:
    async def good() -> int:
        return 7

    async def bad() -> int:
        raise ValueError("no")

    assert await within(good) == 7
    with pytest.raises(ValueError, match="no"):
        await within(bad)


async def test_what_blocks_a_thread_is_abandoned() -> None:
    end = threading.Event()

    async def hangs() -> None:
        end.wait(100)

    try:
        with pytest.raises(TimeoutError):
            await within(hangs, 0.05)
        assert is_hanging()
    finally:
        end.set()
    await until(lambda: not is_hanging(), every=0.01)
