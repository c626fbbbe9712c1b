"""Interactive shells on a pseudo terminal, with `suno-cover` on their path."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commands import PATIENCE

PROMPT = "ready> "

SETTINGS = {
    "bash": (".bashrc", f"PS1='{PROMPT}'\n"),
    "zsh": (".zshrc", f"PS1='{PROMPT}'\nautoload -Uz compinit && compinit -u\n"),
    "fish": (".config/fish/config.fish", f"function fish_prompt; printf '{PROMPT}'; end\n"),
}
"""The file that each shell reads at its start, and what a person has there."""

# Completion asks the real command line. What is run tells its arguments, and does nothing.
COMMAND = """#!/bin/sh
if [ -n "$_SUNO_COVER_COMPLETE" ]; then exec {python} -m suno_cover_async "$@"; fi
echo "[ran $*]"
"""


# A shell that is interactive needs a terminal of its own, which signals and jobs belong to.
WITH_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


class Shell:
    """A shell that a person types into."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._drawn = ""

    def wait_for(self, pattern: str) -> str:
        """Read until the terminal has shown this; forget all before its end, and return it."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self._drawn)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._terminal], [], [], left)[0]:
                raise TimeoutError(f"no {pattern!r} in {self._drawn!r}")
            self._read()
        self._drawn = self._drawn[found.end() :]
        return found[found.re.groups]

    def _read(self) -> None:
        try:
            some = os.read(self._terminal, 65_536).decode(errors="replace")
        except OSError as error:  # how Linux says that the shell has ended
            raise AssertionError(f"the shell ended: {self._drawn!r}") from error
        if "\x1b[c" in some:  # fish asks what the terminal is, and waits for the answer
            self.type("\x1b[?62c")
        self._drawn += some

    def type(self, keys: str) -> None:
        """Type keys; \\t is the one that completes."""
        os.write(self._terminal, keys.encode())

    def run(self, line: str) -> str:
        """Type a line and Enter, and return the arguments that the command then got."""
        self.type(f"{line}\r")
        ran = self.wait_for(r"\[ran ([^\]]*)\]")
        self.wait_for(PROMPT)
        return ran


def install(program: str, home: Path, lines: str) -> dict[str, str]:
    """Make a home folder with a shell's settings, run an installation; return the environment."""
    binaries = home / "bin"
    binaries.mkdir(parents=True)
    command = binaries / "suno-cover"
    command.write_text(COMMAND.format(python=sys.executable))
    command.chmod(0o755)
    name, text = SETTINGS[program]
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)
    environment = {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "HOME": str(home),
        "TERM": "xterm",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run([program, "-c", lines], env=environment, cwd=home, check=True)  # noqa: S603
    return environment


@contextmanager
def shell(program: str, home: Path, lines: str) -> Generator[Shell, None, None]:
    """Start an interactive shell after an installation by these lines, and end it."""
    environment = install(program, home, lines)
    ours, its = os.openpty()
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", WITH_TERMINAL, program, "-i"],
        env=environment,
        cwd=home,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    try:
        there = Shell(ours)
        there.wait_for(PROMPT)
        yield there
    finally:
        process.kill()
        process.wait()
        os.close(ours)
