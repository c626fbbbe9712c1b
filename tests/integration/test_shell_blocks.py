"""The commands of README and the tutorial run in their order; those of all pages are real commands.

A person's two terminals are played here: the sandbox runs in one, and what it prints there for the
other is run in the other. What installs the package is left out, since `.ci/run` does that.
"""

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import click
import pytest
from tinytag import TinyTag

from suno_cover_async.cli.app import commands
from suno_cover_async.cli.exit_codes import ExitCode
from tests.integration.test_code_blocks import PAGES, ROOT, blocks_of
from tests.support.commands import environment, finish, line_with, needs_posix, start

README, TUTORIAL = "README.md", "docs/tutorial.md"
INSTALLS = re.compile(r"(python3 -m venv|\. \.venv|pip install|suno-cover demo$).*")
OWN_KEY = "export SUNO_API_KEY=..."


def lines_of(page: str) -> list[str]:
    """Return the lines of all shell blocks of a page; what `\\` or a pipe continues is one."""
    text = "\n".join(blocks_of(page, "sh"))
    joined = re.sub(r"(\\|(?<=\|))\n\s*", " ", text)
    return [line for line in map(str.strip, joined.splitlines()) if line]


def words_of(line: str) -> list[list[str]]:
    """Return the words of each `suno-cover` command of a line, without its name."""
    parts = re.split(r"\s(?:\||&&)\s", line)
    commands_ = (shlex.split(part, comments=True) for part in parts)
    return [words[1:] for words in commands_ if words[:1] == ["suno-cover"]]


COMMANDS = [
    pytest.param(words, id=f"{page}: {' '.join(words)}")
    for page in PAGES
    for line in lines_of(page)
    for words in words_of(line)
]


def parsed(words: Sequence[str]) -> click.Command:
    """Return the command of a line, whose options and choices are all real ones."""
    command: click.Command = commands
    context, rest = click.Context(command, info_name="suno-cover"), list(words)
    while isinstance(command, click.Group) and rest[:1] not in (["--help"], ["--version"]):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, click.Context(found, parent=context)
    values, extra, _ = command.make_parser(context).parse_args(rest)
    assert extra == []
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and parameter.name in values:
            parameter.type_cast_value(context, values[parameter.name])
    return command


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_of_the_pages_has_these_options(words: list[str]) -> None:
    assert parsed(words).name


@pytest.mark.parametrize(
    "words", ["nothing", "batch --none", "ledger none", "apply --preset none --into x covers.db"]
)
def test_a_command_that_does_not_exist_is_found_out(words: str) -> None:
    with pytest.raises(click.UsageError):
        parsed(words.split())


@attrs.define
class Terminals:
    """A person's folder, and what the commands there find in their environment."""

    folder: Path
    environment: dict[str, str]
    sandbox: asyncio.subprocess.Process | None = None
    printed: str = ""
    said: str = ""

    async def run(self, line: str) -> int:
        """Run a line in a shell, sooner than a person would wait; return the exit code."""
        if re.match("suno-cover (generate|batch)", line) and "--poll" not in line:
            line += " --poll 0.1"
        ended = await finish(await self._started("bash", "-c", line))
        self.said += f"{line}\n{ended.out}{ended.err}"
        return ended.code

    async def serve(self, line: str) -> None:
        """Start the sandbox in the other terminal, and do here what it says."""
        self.sandbox = await self._started("bash", "-c", f"exec {line} --port 0 --seconds 0.2")
        self.printed = await line_with(self.sandbox.stdout, "SUNO_BASE_URL=")
        self.environment |= dict(word.split("=", 1) for word in self.printed.split()[1:])
        await line_with(self.sandbox.stdout, "music tasks:")

    async def review(self, line: str) -> int:
        """Serve the page until Ctrl-C, which comes once it is served."""
        process = await self._started("bash", "-c", f"exec {line} --port 0")
        await line_with(process.stdout, "http://")
        process.send_signal(signal.SIGINT)
        return (await finish(process)).code

    async def billed(self) -> int:
        """End the sandbox, and return how many covers its own journal has billed."""
        assert self.sandbox is not None
        self.sandbox.send_signal(signal.SIGINT)
        told = re.findall(r"\((\d+) billed so far\)", (await finish(self.sandbox)).err)
        return max(map(int, told))

    async def _started(self, *program: str) -> asyncio.subprocess.Process:
        return await start(program=program, cwd=self.folder, env=self.environment)


@pytest.fixture
async def terminals(tmp_path: Path) -> AsyncIterator[Terminals]:
    program = tmp_path / "bin" / "suno-cover"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m suno_cover_async "$@"\n')
    program.chmod(0o755)
    (tmp_path / "here").mkdir()
    own = environment(
        PATH=f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH=str(ROOT),
        XDG_STATE_HOME=str(tmp_path),
        BROWSER="true",  # what `--open` opens is not to be seen
    )
    del own["SUNO_API_KEY"]
    person = Terminals(folder=tmp_path / "here", environment=own)
    yield person
    if person.sandbox is not None and person.sandbox.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            person.sandbox.kill()
        await person.sandbox.wait()


@needs_posix
async def test_the_commands_of_readme_run_in_their_order(terminals: Terminals) -> None:
    demo, _, sandbox, generate = lines_of(README)

    assert await terminals.run(demo.rpartition(" && ")[2]) == ExitCode.DONE
    await terminals.serve(sandbox)
    codes = [await terminals.run(generate) for _ in range(2)]

    assert codes == [ExitCode.DONE, ExitCode.DONE]
    assert len(list((terminals.folder / "suno-cover-demo").glob("*.png"))) == 25
    assert len(list((terminals.folder / "covers").glob("*.png"))) == 2
    assert await terminals.billed() == 1


@needs_posix
async def test_the_commands_of_the_tutorial_run_in_their_order(terminals: Terminals) -> None:
    for line in lines_of(TUTORIAL):
        if INSTALLS.fullmatch(line) or line == OWN_KEY:
            continue
        if line.startswith("suno-cover sandbox"):
            await terminals.serve(line)
        elif line.startswith("export"):
            assert line == re.sub(r":\d+\n", ":8480", terminals.printed)
        elif line.startswith("suno-cover review"):
            assert await terminals.review(line) == ExitCode.DONE
        elif line.startswith("ffmpeg") and shutil.which("ffmpeg") is None:
            break
        else:
            partly = "--embed" in line  # the other songs have no sound
            assert await terminals.run(line) == (ExitCode.FAILED if partly else ExitCode.DONE)

    assert "billed 5, adopted 1" in PAGES[TUTORIAL]
    assert "billed 5, adopted 1" in terminals.said
    assert len(list((terminals.folder / "covers").glob("*.png"))) >= 12
    assert len(list((terminals.folder / "artwork").glob("*.jpg"))) == 6
    if shutil.which("ffmpeg") is not None:
        (song,) = (terminals.folder / "music").glob("*.mp3")
        assert TinyTag.get(song, image=True).images.front_cover is not None
    assert await terminals.billed() == 6
