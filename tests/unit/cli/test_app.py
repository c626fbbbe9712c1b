"""Command lines: what is parsed, what is refused, and how an error ends."""

import errno
import io
import sys
from typing import Any

import pytest

from suno_cover_async import CoverTimeoutError, InsufficientCreditsError, __version__
from suno_cover_async import cli as package
from suno_cover_async.cli.app import _all_ids, commands, main
from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.commands import KEY, Run


class Broken(io.BytesIO):
    """A standard input that fails as it is read."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def read(self, _: Any = None) -> bytes:
        raise self._error


def typed(patch: pytest.MonkeyPatch, what: bytes | BaseException) -> None:
    raw = io.BytesIO(what) if isinstance(what, bytes) else Broken(what)
    patch.setattr(sys, "stdin", io.TextIOWrapper(raw))


@pytest.mark.parametrize(
    "arguments",
    [
        ("credits", "--base-url", "http://example.com"),
        ("credits", "--timeout", "nan"),
        ("credits", "--timeout", "-1"),
        ("credits", "--poll", "0"),
        ("credits", "--host", "other"),
        ("details", "a b"),
        ("generate",),
        ("sandbox", "--port", "70000"),
        ("nonsense",),
    ],
)
async def test_nonsense_is_one_clear_refusal(arguments: tuple[str, ...], run: Run) -> None:
    ended = await run(*arguments)

    assert ended.code == ExitCode.USAGE
    assert "Error: " in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("credits", "--base-url", ""),
        ("credits", "--base-url", "http://example.com"),
        ("generate song", "--poll", "nan"),
        ("generate song", "--poll", "inf"),
        ("details task", "--timeout", "0"),
        ("sandbox", "--seconds", "nan"),
    ],
)
async def test_a_value_that_is_refused_is_named_by_its_option(
    command: str, option: str, value: str, run: Run
) -> None:
    ended = await run(*command.split(), option, value)

    assert ended.code == ExitCode.USAGE
    assert option in ended.err.splitlines()[-1]


async def test_help_names_every_exit_code(run: Run) -> None:
    ended = await run("--help")

    assert ended.code == ExitCode.DONE
    for code in ExitCode:
        assert f"\n    {code.value:<6}" in ended.out
        assert f"\n{code.value:<6}" in (package.__doc__ or "")


@pytest.mark.parametrize("name", ["", *commands.commands, "ledger show", "ledger export"])
async def test_every_command_has_help_and_no_option_for_a_key(name: str, run: Run) -> None:
    ended = await run(*name.split(), "-h")

    assert ended.code == ExitCode.DONE
    assert ended.out.startswith(f"Usage: suno-cover {name}".rstrip())
    assert "--api-key" not in ended.out
    assert "--token" not in ended.out


async def test_the_version_is_that_of_the_package(run: Run) -> None:
    ended = await run("--version")

    assert (ended.code, ended.out) == (ExitCode.DONE, f"suno-cover, version {__version__}\n")


@pytest.mark.parametrize(
    ("words", "text", "ids"),
    [
        (["a", "b", "a"], b"", ["a", "b", "a"]),
        (["a", "-", "d"], b"b\nc\n", ["a", "b", "c", "d"]),
        (["-"], b"\xef\xbb\xbfa\r\n \r\n\n b \n", ["a", "b"]),
        (["-"], b"a\xff\n", ["a\ufffd"]),
        (["a", "-"], b"\n", ["a"]),
    ],
)
def test_a_dash_stands_for_the_ids_on_standard_input(
    words: list[str], text: bytes, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, text)

    assert _all_ids(words) == ids


async def test_no_ids_on_standard_input_are_wrong_usage(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, b" \r\n")

    ended = await run("generate", "-")

    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "no ids on standard input" in ended.err


async def test_standard_input_is_not_read_for_ids_and_the_key(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, AssertionError("it was read"))

    ended = await run("generate", "-", "--key-file", "-")

    assert ended.code == ExitCode.USAGE
    assert "cannot hold both" in ended.err


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, [""]),
        (
            InsufficientCreditsError("too few\x1b[2J"),
            ExitCode.CREDITS,
            ["Error: too few?[2J"],
        ),
        (
            CoverTimeoutError("not yet"),
            ExitCode.TIMED_OUT,
            [
                "Error: not yet",
                "next: continue with a longer --timeout: that never pays twice",
            ],
        ),
        (OSError(errno.EIO, "Input/output error"), ExitCode.FAILED, ["Error: Input/output error"]),
        (ValueError("odd"), ExitCode.USAGE, ["Error: odd"]),
        (
            ZeroDivisionError("x"),
            ExitCode.FAILED,
            [
                "Error: unexpected ZeroDivisionError; run with --verbose for the traceback",
            ],
        ),
    ],
)
def test_an_error_is_a_code_and_one_line_with_the_next_step(
    error: BaseException,
    code: int,
    lines: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    typed(monkeypatch, error)

    ended = main(["generate", "-"])

    written = capsys.readouterr()
    assert ended == code
    assert (written.out, written.err.splitlines()) == ("", lines)


@pytest.mark.parametrize("flag", ["-v", "-vv", "--verbose"])
def test_an_unexpected_error_is_raised_to_whoever_wants_to_see_more(
    flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    typed(monkeypatch, ZeroDivisionError("x"))

    with pytest.raises(ZeroDivisionError):
        main(["generate", "-", flag])
