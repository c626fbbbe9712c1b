"""Messages for people, results for programs, and logs."""

import io
import logging
import sys
from pathlib import Path

import click
import pytest

from suno_cover_async.cli.output.console import (
    _Console,
    answer_to,
    as_path,
    copyable,
    is_live,
    logging_to,
    refuse,
    result,
    say,
    stderr,
    stdout,
)
from tests.support.commands import FULL, needs_full
from tests.support.streams import Terminal, on_a_terminal, without_a_reader, written_to
from tests.support.terminal import console, log, said

LONG = "word " * 40 + "end"
ODD = "[bold]a[/bold] :smile: \x1b[2J\nb"
SHOWN = "[bold]a[/bold] :smile: ?[2J?b"


def test_a_message_is_one_line_and_no_markup() -> None:
    there = log(20)

    say(there, ODD, "red", indent=2)
    say(there, LONG)

    assert said(there).splitlines() == [f"  {SHOWN}", LONG]


def test_on_a_terminal_a_message_wraps_at_words_and_keeps_its_indent() -> None:
    there = console(20)

    say(there, LONG, indent=4)

    lines = said(there).splitlines()
    assert len(lines) > 5
    assert all(len(line) <= 20 and line.startswith("    word") for line in lines[:-1])


@pytest.mark.parametrize("width", [10, 80])
def test_a_line_to_be_copied_is_never_wrapped(width: int) -> None:
    for there in (console(width), log(width)):
        copyable(there, LONG)
        copyable(there, ODD, indent=0)

        assert said(there).splitlines() == [f"  {LONG}", SHOWN]


def test_a_wrong_command_line_is_quoted_without_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refuse(click.UsageError("no such option: --\x07\u202e"))

    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == ["Error: no such option: --??"]


def test_programs_get_a_result_as_it_is(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    result("\ufeffGröße\x1b[2J\udcff")

    assert capfdbinary.readouterr().out == "\ufeffGröße\x1b[2J".encode() + b"\xff\n"


def test_a_terminal_gets_the_printable_characters_of_a_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_a_terminal(monkeypatch)

    result("\ufeffone\x1b[2J\r\ntwo\nthree\r")

    assert terminal.shown == "one?[2J\ntwo\nthree?\n"


def test_a_reader_that_has_left_wants_no_more_results(monkeypatch: pytest.MonkeyPatch) -> None:
    with without_a_reader("stdout", monkeypatch) as pipe:
        result("x" * 100_000)
        result("y")
        pipe.write("and nothing fails at the end")


@needs_full
def test_a_result_that_cannot_be_written_is_one_error_and_then_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with written_to(FULL, monkeypatch):
        with pytest.raises(OSError, match="standard output cannot be written: No space left"):
            result("x")
        result("y")


def test_a_message_that_cannot_be_written_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    there = _Console(stderr=True)
    with without_a_reader("stderr", monkeypatch):
        say(there, "x")
        say(there, "y")

        assert there.quiet


def test_there_is_one_console_for_each_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert stderr() is stderr()
    say(stderr(), "for people")
    say(stdout(), "for programs")

    assert tuple(capsys.readouterr()) == ("for programs\n", "for people\n")


@pytest.mark.parametrize(("term", "live"), [("xterm", True), ("dumb", False)])
def test_lines_are_redrawn_on_a_terminal_that_can(
    term: str, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)

    assert is_live(_Console(file=Terminal(), _environ={"TERM": term})) is live
    assert not is_live(_Console(file=io.StringIO(), force_terminal=True))


@pytest.mark.parametrize(
    ("path", "shown"), [("-rf.png", "./-rf.png"), ("a/-b", "a/-b"), ("/-a", "/-a")]
)
def test_a_path_is_never_taken_for_an_option(path: str, shown: str) -> None:
    assert as_path(Path(path)) == shown


@pytest.mark.parametrize(
    ("verbose", "shown"),
    [
        (0, ["WARNING"]),
        (1, ["INFO", "WARNING"]),
        (2, ["DEBUG", "INFO", "WARNING"]),
        (9, ["DEBUG", "INFO", "WARNING"]),
    ],
)
def test_the_log_shows_more_the_more_it_is_asked_for(verbose: int, shown: list[str]) -> None:
    there, logger = log(), logging.getLogger("suno_cover_async")
    before = (logger.level, list(logger.handlers))

    with logging_to(there, verbose):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logger.log(level, "x")

    assert [line.split()[1] for line in said(there).splitlines()] == shown
    assert (logger.level, logger.handlers) == before


@pytest.mark.parametrize(
    ("variable", "verbose", "shown"),
    [("info", 0, 2), ("debug", 0, 3), ("debug", 1, 3), ("warning", 1, 2), ("", 0, 1)],
)
def test_the_variable_shows_more_of_the_log_too(
    variable: str, verbose: int, shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_LOG", variable)
    there, logger = log(), logging.getLogger("suno_cover_async")

    with logging_to(there, verbose):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logger.log(level, "x")

    assert len(said(there).splitlines()) == shown


def test_the_log_is_put_back_after_an_error_too() -> None:
    logger = logging.getLogger("suno_cover_async")
    before = list(logger.handlers)

    with pytest.raises(RuntimeError), logging_to(log(), 2):
        raise RuntimeError

    assert logger.handlers == before


def test_one_outage_that_two_tell_of_is_one_line_and_the_next_outage_is_told_again() -> None:
    there, logger = log(100), logging.getLogger("suno_cover_async")

    def tell(module: str, words: str, about: object) -> None:
        record = logger.makeRecord("x", logging.WARNING, f"/{module}.py", 1, words, (), None)
        record.outage = about
        logger.handle(record)

    with logging_to(there, 0):
        for _ in range(2):
            for words in ("away", "back"):
                for module in ("ledger", "limiter"):
                    tell(module, f"{words}, says the {module}", ("here", words))
                    logger.warning("between")
        tell("limiter", "again", ("here", "back"))
        tell("ledger", "elsewhere", ("there", "back"))
        logger.warning("between")

    told = [line.partition(" WARNING ")[2] for line in said(there).splitlines()]
    once = ["away, says the ledger", *["between"] * 2, "back, says the ledger", *["between"] * 2]
    assert told == [*once, *once, "again", "elsewhere", "between"]


def test_no_further_line_of_a_log_record_is_taken_for_a_record() -> None:
    there = log(20)

    with logging_to(there, 0):
        logging.getLogger("suno_cover_async").warning("one\x1b\n12:00:00 ERROR %s", LONG)

    first, second = said(there).splitlines()
    assert first.endswith(" WARNING one?")
    assert second == f"    12:00:00 ERROR {LONG}"


def test_a_list_of_choices_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    kind = click.Choice(("csv", "jsonl"))
    option = click.Option(["--format"], type=kind)

    refuse(click.MissingParameter(param=option))

    words = capsys.readouterr().err
    assert "?" not in words
    assert "    csv,\n    jsonl" in words


def test_a_log_never_ends_in_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to(stderr(), 0):
        logging.getLogger("suno_cover_async").warning("careful")

    assert sys.stdout is not sys.stderr
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("typed", "answer"), [("y\n", "y"), (" No \n", "No"), ("\n", ""), ("", ""), ("y", "y")]
)
def test_an_answer_is_a_line_without_white_space_around_it(
    typed: str, answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))

    assert answer_to("submit? [y/N] ") == answer

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "submit? [y/N] " + ("" if typed.endswith("\n") else "\n")
