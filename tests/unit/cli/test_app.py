"""Command lines: what is parsed, what is refused, and how an error ends."""

import errno
from pathlib import Path

import pytest

from suno_cover_async import CoverTimeoutError, InsufficientCreditsError, __version__
from suno_cover_async.cli.app import commands, main
from suno_cover_async.cli.exit_codes import MEANINGS, ExitCode
from tests.support.command_tree import leaves
from tests.support.commands import KEY, Run
from tests.support.standard_input import typed


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


async def test_help_ends_with_every_exit_code_and_no_commands_help_has_them(run: Run) -> None:
    table = [f"    {code.value:<6}{MEANINGS[code]}" for code in ExitCode]

    whole = await run("--help")
    of_commands = [await run(*name.split(), "--help") for name in leaves(commands)]

    assert whole.out.splitlines()[-len(table) :] == table
    assert not [one.out for one in of_commands if "exit code" in " ".join(one.out.split()).lower()]


@pytest.mark.parametrize("name", ["", "ledger", *leaves(commands)])
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
                "Error: unexpected ZeroDivisionError; set SUNO_LOG=debug for the traceback",
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


def test_an_unexpected_error_of_any_command_is_raised_with_suno_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setattr("suno_cover_async.cli.actions.ledger.show", broken)
    command = ["ledger", "show", str(tmp_path / "covers.db")]  # it has no --verbose

    assert main(command) == ExitCode.FAILED
    monkeypatch.setenv("SUNO_LOG", "loud")
    assert main(command) == ExitCode.FAILED
    monkeypatch.setenv("SUNO_LOG", "debug")
    with pytest.raises(ZeroDivisionError):
        main(command)


@pytest.mark.parametrize("flag", ["-v", "-vv", "--verbose"])
def test_an_unexpected_error_is_raised_to_whoever_wants_to_see_more(
    flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    typed(monkeypatch, ZeroDivisionError("x"))

    with pytest.raises(ZeroDivisionError):
        main(["generate", "-", flag])
