"""SUNO_LOG: shows the log on standard error, and disturbs no logging that is set up already."""

import logging
import subprocess
import sys

import pytest

from suno_cover_async.common.log_variable import VARIABLE, level_of_variable
from tests.support.commands import environment

PROGRAM = """
import logging
{setup}
from suno_cover_async.common.log_variable import show_log
show_log()
show_log()
log = logging.getLogger("suno_cover_async")
log.debug("a detail")
log.info("a request")
log.warning("careful")
"""


def shown(level: str, setup: str = "") -> list[str]:
    """What a program's log shows on standard error."""
    program = [sys.executable, "-c", PROGRAM.format(setup=setup)]
    ended = subprocess.run(  # noqa: S603
        program, env=environment(**{VARIABLE: level}), capture_output=True, text=True, check=True
    )
    assert ended.stdout == ""
    return ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("debug", logging.DEBUG),
        (" Info\n", logging.INFO),
        ("WARNING", logging.WARNING),
        ("", None),
        (" ", None),
    ],
)
def test_the_variable_names_a_level_in_any_case(
    name: str, level: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, name)

    assert level_of_variable() == level


def test_any_other_value_is_an_error_that_names_the_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "loud")

    with pytest.raises(ValueError, match="SUNO_LOG must be debug, info or warning"):
        level_of_variable()


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("debug", ["a detail", "a request", "careful"]),
        ("info", ["a request", "careful"]),
        ("warning", ["careful"]),
    ],
)
def test_the_log_is_shown_once_at_the_level_that_the_variable_names(
    level: str, words: list[str]
) -> None:
    lines = shown(level)

    assert [line.split(maxsplit=2)[2] for line in lines] == words


def test_without_the_variable_nothing_is_set_up() -> None:
    assert shown("") == ["careful"]  # as Python shows it without any handler


def test_an_unknown_level_is_a_warning_in_the_log() -> None:
    assert shown("loud") == ["SUNO_LOG must be debug, info or warning, or unset", "careful"]


@pytest.mark.parametrize(
    "setup",
    [
        "logging.basicConfig(format='mine %(message)s')",
        "logging.getLogger('suno_cover_async').addHandler(logging.StreamHandler())",
    ],
)
def test_a_program_with_handlers_of_its_own_gets_no_line_twice(setup: str) -> None:
    lines = shown("info", setup)

    assert [line.removeprefix("mine ") for line in lines] == ["a request", "careful"]
