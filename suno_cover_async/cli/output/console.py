"""Write messages for people to standard error, and results to standard output.

It knows terminals and text; it knows nothing of covers. No text is interpreted as markup. Text for
people or for a terminal is made printable here once more, in case a caller did not do so.
"""

import io
import logging
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TextIO

if sys.platform != "win32":
    import termios

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from suno_cover_async.cli.key_option import hide_key
from suno_cover_async.common.log_variable import level_of_variable
from suno_cover_async.common.text import printable

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class _Console(Console):
    """A console that ignores write errors; rich's own would end the process."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _silence(sys.stderr if self.stderr else sys.stdout)


@cache
def stderr() -> Console:
    """Return the only console on standard error: a second would write into its live display."""
    return _Console(stderr=True, markup=False, highlight=False, emoji=False)


@cache
def stdout() -> Console:
    """Return the console on standard output, for tables on a terminal."""
    return _Console(markup=False, highlight=False, emoji=False)


def is_live(console: Console) -> bool:
    """Return whether the console is a terminal that can redraw lines."""
    return console.file.isatty() and not console.is_dumb_terminal


def say(console: Console, line: str, style: str = "", *, indent: int = 0) -> None:
    """Write a line; on a terminal it wraps at words, elsewhere it stays one line."""
    line = printable(line, len(line))
    if console.is_terminal:
        console.print(Padding.indent(Text(line, style), indent))
    else:
        console.print(Text(" " * indent + line, style), soft_wrap=True)


def copyable(console: Console, line: str, *, indent: int = 2) -> None:
    """Write a line to be copied: it is never wrapped, so that a paste is the same text."""
    console.print(Text(" " * indent + printable(line, len(line)), "bold"), soft_wrap=True)


def answer_to(question: str) -> str:
    """Write a question, and return what a person typed on standard input after it, trimmed.

    Returns:
        The empty string after Ctrl-C, or at the end of input (Ctrl-D).
    """
    try:
        if (
            sys.platform != "win32" and sys.stdin.isatty()
        ):  # what was typed before the question is no answer to it
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        click.echo(question, nl=False, err=True)
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        line = ""
    if not line.endswith("\n"):
        click.echo(err=True)  # the cursor is still behind the question
    return line.strip()


def refuse(error: click.ClickException) -> None:
    """Write click's message about a wrong command line, made printable and without the key.

    It quotes arguments.
    """
    words = io.StringIO()
    error.show(words)
    for line in hide_key(words.getvalue()).expandtabs(4).splitlines():  # click's lists have tabs
        click.echo(printable(line, len(line)), err=True)


def result(line: str) -> None:
    """Write a result to standard output; do nothing after its reader has closed the pipe.

    Programs get the text as it is; a terminal gets only its printable characters.

    A reader that closes the pipe early, as `head` does, wants no more lines. That is no error: the
    run still collects what is paid for.

    Raises:
        OSError: It cannot be written, on a full disk for instance; later results are discarded.
    """
    if sys.stdout.isatty():
        lines = re.split(r"\r?\n", line.removeprefix("\ufeff"))
        line = "\n".join(printable(one, len(one)) for one in lines)
    try:
        click.echo(line.encode(errors="surrogateescape"))
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        reason = f"standard output cannot be written: {error.strerror}"
        raise OSError(error.errno, reason) from None


def as_path(path: Path | str) -> str:
    """Return a path as text that no program takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def _silence(stream: TextIO) -> None:
    """Discard all further output of a stream, also the interpreter's own last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class _ConsoleHandler(logging.Handler):
    """Writes log lines above a live display, not into it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._outage: tuple[object, str] = (None, "")

    def emit(self, record: logging.LogRecord) -> None:
        # A ledger and a limit in one database lose it together, and both say so.
        outage = getattr(record, "outage", None)
        if outage is not None:
            (told, by), self._outage = self._outage, (outage, record.module)
            if told == outage and by != record.module:
                return
        first, *rest = self.format(record).splitlines()
        for line in (first, *(f"    {more}" for more in rest)):  # indented: no forged log records
            text = printable(line, len(line))
            self._console.print(Text(text, "dim"), soft_wrap=True)


@contextmanager
def logging_to(console: Console, verbose: int) -> Generator[None, None, None]:
    """Show the package's log: warnings; at `verbose` 1 also INFO, at 2 also DEBUG.

    SUNO_LOG may name a lower level.

    Raises:
        click.UsageError: SUNO_LOG names no level.
    """
    try:
        named = level_of_variable()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    level = min(_LEVELS[min(verbose, len(_LEVELS) - 1)], named or logging.WARNING)
    logger = logging.getLogger("suno_cover_async")
    handler = _ConsoleHandler(console)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
