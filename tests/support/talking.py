"""Commands on a pseudo terminal that ask a question, and get an answer."""

import asyncio
import os
import signal
from pathlib import Path

import attrs

from tests.support.commands import PATIENCE, environment, read_all, start

ASKED = "[y/N] "


@attrs.frozen
class Talk:
    """A command on a terminal that ended: its code, and all that was drawn."""

    code: int
    drawn: str


async def talk(
    *arguments: str,
    cwd: Path,
    typed: bytes | signal.Signals = b"",
    typed_before: bytes = b"",
    stdout: int | None = None,
) -> Talk:
    """Run a command on a pseudo terminal; type an answer, or send a signal, once it asks."""
    ours, its = os.openpty()
    os.write(ours, typed_before)
    environ = environment(TERM="xterm", COLUMNS="200", LINES="40")
    process = await start(
        *arguments,
        cwd=cwd,
        env=environ,
        stdin=its,
        stdout=its if stdout is None else stdout,
        stderr=its,
    )
    os.close(its)
    drawn = ""
    async with asyncio.timeout(PATIENCE):
        while typed and ASKED not in drawn:
            drawn += (await asyncio.to_thread(os.read, ours, 65_536)).decode(errors="replace")
        if isinstance(typed, signal.Signals):
            process.send_signal(typed)
        else:
            os.write(ours, typed)
        drawn += await asyncio.to_thread(read_all, ours)
        code = await process.wait()
    os.close(ours)
    return Talk(code, drawn)
