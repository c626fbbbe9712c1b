"""Processes of the ledger on disks that fail: killed at a sync, out of space, read-only."""

import functools
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import pytest

import suno_cover_async

# The package's own `__init__` would import aiohttp, which takes longer than all the rest.
_PRELUDE = """
import asyncio, os, signal, sys, types
package = types.ModuleType("suno_cover_async")
package.__path__ = [sys.argv.pop(1)]
sys.modules["suno_cover_async"] = package
from pathlib import Path
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask, Track

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def read(path):
    async def entries():
        return [entry async for entry in Ledger(path).entries()]

    return asyncio.run(entries())

def task(entry):
    return CoverTask(cover_task_id=f"c{entry.number}", music_task_id=entry.music_task_id)
"""

# A script: it opens a ledger, or says why that is refused.
OPEN = """
    async def open():
        async with Ledger(sys.argv[1]):
            say("opened")

    try:
        asyncio.run(open())
    except LedgerError as error:
        say(error)
"""


def child(script: str, *arguments: object, prefix: Iterable[str] = ()) -> list[str]:
    """Return the command of a process that runs a script on the ledger's modules."""
    package = str(Path(suno_cover_async.__file__).parent)
    code = _PRELUDE + textwrap.dedent(f"\n{script}")
    return [*prefix, sys.executable, "-c", code, package, *map(str, arguments)]


def run(script: str, *arguments: object, prefix: Iterable[str] = ()) -> tuple[int, list[str]]:
    """Run a script to its end; returns its exit code and the lines it said."""
    command = child(script, *arguments, prefix=prefix)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    return done.returncode, done.stdout.splitlines()


def start(script: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start a script that waits for what is written to it."""
    return subprocess.Popen(  # noqa: S603
        child(script, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def line(process: "subprocess.Popen[str]") -> str:
    """Wait for the next line that a process says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: "subprocess.Popen[str]") -> None:
    """Let a process that waits for its input go on."""
    pipe: IO[str] | None = process.stdin
    assert pipe is not None
    pipe.close()


def strace(*options: str, log: Path | None = None) -> list[str]:
    """Return the words before a command that trace it, or skip the test."""
    if not succeeds("strace", "-f", "-o", "/dev/null", "true"):
        pytest.skip("strace is absent, or may not trace")
    return ["strace", "-f", "-qq", "-y", "-o", str(log or os.devnull), *options]


def disk_of_its_own(size: str, at: Path) -> list[str]:
    """Return the words before a command that give it a small disk, or skip the test."""
    for unshare in ("unshare -m", "unshare -rm"):
        words = [
            *unshare.split(),
            "sh",
            "-c",
            f'mount -t tmpfs -o size={size} none "$0"; exec "$@"',
        ]
        if succeeds(*words, str(at), "sh", "-c", f"mountpoint -q '{at}'"):
            return [*words, str(at)]
    pytest.skip("no file system may be mounted here")


@functools.cache
def succeeds(*command: str) -> bool:
    """Whether a command is there, and ends well."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
