"""Commands, run in a thread of this process or as processes of their own."""

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from suno_cover_async.sandbox import Sandbox, Scenario

KEY = "sk-cli-7f3a9c"


@attrs.frozen
class Ended:
    """A command that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Awaitable[Ended]]


MODULE = (sys.executable, "-m", "suno_cover_async")


PIPE = asyncio.subprocess.PIPE


PATIENCE = 100.0  # what takes longer hangs, on any machine


FULL = Path("/dev/full")


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and terminals")


HANG_UP = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none, and runs no such test


needs_full = pytest.mark.skipif(not FULL.exists(), reason="a device that is always full")


@asynccontextmanager
async def sandbox_with(scenario: Scenario) -> AsyncGenerator[Sandbox, None]:
    async with Sandbox(scenario, api_key=KEY) as sandbox:
        yield sandbox


def at(sandbox: Sandbox) -> tuple[str, ...]:
    return ("--base-url", sandbox.url, "--poll", "0.05")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "SUNO_API_KEY": KEY, "PYTHONUNBUFFERED": "1", **more}


async def start(
    *arguments: str,
    program: tuple[str, ...] = MODULE,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    stdin: int = PIPE,
    stdout: int = PIPE,
    stderr: int = PIPE,
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*program, *arguments),
        cwd=cwd,
        env=environment() if env is None else env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def redirected(streams: str) -> tuple[str, ...]:
    """Have a shell redirect streams, as in `2>&-`."""
    return ("sh", "-c", f'exec "$@" {streams}', "sh", *MODULE)


async def finish(process: asyncio.subprocess.Process, typed: bytes = b"") -> Ended:
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(typed if process.stdin else None)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode or 0, (out or b"").decode(), (err or b"").decode())


async def line_with(stream: asyncio.StreamReader | None, words: str) -> str:
    """Read until a line holds these words."""
    assert stream is not None
    async with asyncio.timeout(PATIENCE):
        while line := (await stream.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"no line ever said {words!r}")


async def has_billed(sandbox: Sandbox, covers: int = 1) -> None:
    """Return once the sandbox has billed so many covers."""
    async with asyncio.timeout(PATIENCE):
        while len(sandbox.journal.bills) < covers:  # noqa: ASYNC110 - nothing tells of a bill
            await asyncio.sleep(0.01)


async def waits_for_details(sandbox: Sandbox, requests: int) -> None:
    """Return once the sandbox has had so many requests for details."""
    async with asyncio.timeout(PATIENCE):
        while len(sandbox.journal.of("details")) < requests:  # noqa: ASYNC110 - nothing tells of one
            await asyncio.sleep(0.01)


async def emptied(pipe: int) -> None:
    """Return once all that was written to a pipe was read by its reader."""
    async with asyncio.timeout(PATIENCE):
        while select.select([pipe], [], [], 0)[0]:  # noqa: ASYNC110 - nothing tells of a read
            await asyncio.sleep(0.01)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def a_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def interrupt(process: asyncio.subprocess.Process, *signals: signal.Signals) -> None:
    """Send signals, each once it is known that the one before was heard."""
    for number, one in enumerate(signals):
        if number:
            words = "finishing" if number == 1 else "stopping: waiting for an answer that may cost"
            await line_with(process.stderr, words)
        process.send_signal(one)


async def nothing_happens(_: asyncio.subprocess.Process) -> None:
    pass


async def on_a_terminal(
    *arguments: str,
    cwd: Path,
    meanwhile: Callable[[asyncio.subprocess.Process], Awaitable[None]] = nothing_happens,
    **more: str,
) -> str:
    """Run a command on a pseudo terminal, and return all it drew."""
    ours, its = os.openpty()
    environ = environment(**({"TERM": "xterm", "COLUMNS": "80", "LINES": "40"} | more))
    process = await start(*arguments, cwd=cwd, env=environ, stdin=its, stdout=its, stderr=its)
    os.close(its)
    drawn = asyncio.create_task(asyncio.to_thread(read_all, ours))
    await meanwhile(process)
    screen = await drawn
    await process.wait()
    os.close(ours)
    return screen


def read_all(terminal: int) -> str:
    """Read a terminal until its other end is closed."""
    drawn = b""
    try:
        while some := os.read(terminal, 65_536):
            drawn += some
    except OSError:  # how Linux says that the other end is closed
        pass
    return drawn.decode(errors="replace")
