"""What is missing, how errors end, and their exit codes."""

import sys

import pytest

from suno_cover_async import errors
from suno_cover_async.cli.exit_codes import ExitCode, advise, exit_code, explain
from tests.support.commands import (
    finish,
    start,
)


@pytest.mark.parametrize(
    ("library", "name"), [("click", "click"), ("rich", "rich"), ("PIL", "pillow")]
)
async def test_a_missing_library_is_named_with_its_cure(library: str, name: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from suno_cover_async.__main__ import main; sys.exit(main())"
    )

    ended = await finish(await start("--help", program=(sys.executable, "-c", code)))

    assert ended.code == ExitCode.NOT_INSTALLED
    assert f"needs {name}," in ended.err
    assert "pip install click pillow rich" in ended.err
    assert "Traceback" not in ended.err


def test_the_weightiest_failure_decides_the_exit_code() -> None:
    key, credits_ = errors.AuthenticationError("x"), errors.InsufficientCreditsError("x")
    late, other = errors.CoverTimeoutError("x"), errors.TransportError("x")

    assert exit_code([]) == ExitCode.DONE
    assert exit_code([other, credits_, key]) == ExitCode.KEY
    assert exit_code([other, credits_]) == ExitCode.CREDITS
    assert exit_code([late, late]) == ExitCode.TIMED_OUT
    assert exit_code([late, other]) == ExitCode.FAILED
    assert exit_code([ValueError("x")]) == ExitCode.USAGE


def test_every_error_is_one_printable_line_and_retryable_ones_have_advice() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    plain = [
        kind("two\nlines\x1b[0m")
        for kind in kinds
        if issubclass(kind, errors.SunoCoverError)
        and kind not in {errors.CoverFailedError, errors.MusicFailedError}
    ]

    assert len(plain) > 10
    assert all(explain(error).isprintable() for error in plain)
    assert all(advise(error) for error in plain if error.retryable)


def test_what_waiting_cannot_repair_is_not_advised_and_money_only_where_it_is_spent() -> None:
    gone = advise(errors.CoverExpiredError("x"))
    unreachable = advise(errors.TransportError("x"))

    assert gone is not None
    assert "no second cover set" in gone
    assert "again" not in gone
    assert unreachable is not None
    assert "--base-url or --host" in unreachable
    assert "pays" not in unreachable
