"""Define the exit codes of `suno-cover` and what each means: the only table of them.

`suno-cover --help` shows it at its end. It knows no error; `failures.py` says which error has which
code.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType


class ExitCode(enum.IntEnum):
    """The exit codes of `suno-cover`; `MEANINGS` has the meaning of each."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    KEY = 3
    CREDITS = 4
    TIMED_OUT = 5
    NOT_INSTALLED = 6
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Mapping[ExitCode, str] = MappingProxyType(
    {
        ExitCode.DONE: "all done",
        ExitCode.FAILED: "something failed or is left; standard error has the next step",
        ExitCode.USAGE: "a word or a value is not valid, or the base URL is not the API's",
        ExitCode.KEY: "the API key is missing or was refused",
        ExitCode.CREDITS: "no credits left",
        ExitCode.TIMED_OUT: "not finished in time; the same command waits again, never pays twice",
        ExitCode.NOT_INSTALLED: "a library or an extra is missing; the message has the pip install",
        ExitCode.HUNG_UP: "the terminal was closed (SIGHUP)",
        ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
        ExitCode.TERMINATED: "ended by SIGTERM",
    }
)
"""What each code tells the caller of a command."""
