"""Run the web applications and the script of `examples/` as users do: by their printed commands."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
from yarl import URL

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.commands import PATIENCE, a_free_port
from tests.support.job_engines import EXAMPLES, QUICK, ROOT, printed_commands
from tests.support.waiting import until

JSON = {"Content-Type": "application/json"}
UNSEEN = Scenario(image_size=16, null_polls=1_000_000, rate_limit=None)
"""A cover under this scenario is never seen to be finished, until there is another scenario."""

FINISHED = Scenario(image_size=16, seconds=0, rate_limit=None)


@attrs.frozen
class Event:
    """A server-sent event, or a comment if it has no id."""

    id: str
    data: dict[str, Any]


@attrs.define(eq=False)
class Example:
    """A folder with a copy of `examples/`, and one of its applications in a process.

    Attributes:
        folder: Where the command runs.
        key: The API key in its environment.
        base_url: What its client calls.
        command: The words of the command that its docstring prints.
        port: Where it listens.
    """

    folder: Path
    key: str
    base_url: str
    command: list[str]
    port: int
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        here = {"SUNO_API_KEY": self.key, "SUNO_BASE_URL": self.base_url}
        return os.environ | here | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    @property
    def log(self) -> str:
        """What all its processes wrote."""
        return (self.folder / "server.log").read_text()

    @property
    def saved(self) -> list[Path]:
        return sorted((self.folder / "covers").glob("*.png"))

    @property
    def unfinished(self) -> list[str]:
        return self._songs("unfinished")

    @property
    def failed(self) -> list[str]:
        return self._songs("failed")

    def _songs(self, folder: str) -> list[str]:
        songs = list[str]()
        for file in (self.folder / "covers" / folder).glob("*.song"):
            with contextlib.suppress(FileNotFoundError):  # it was just removed
                songs.append(file.read_text().partition("\n")[0])
        return songs

    def set(self, name: str, **constants: object) -> None:
        """Set constants in a module of the copy."""
        file = self.folder / "examples" / name
        text = file.read_text()
        for constant, value in constants.items():
            text, found = re.subn(rf"(?m)^{constant} = [^#\n]+", f"{constant} = {value!r}  ", text)
            assert found == 1
        file.write_text(text)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[asyncio.subprocess.Process, None]:
        """Run the application; it is killed at the end, if it still runs."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            await until(lambda: process.returncode is not None or self.is_listening(), every=0.02)
            assert process.returncode is None, self.log
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def is_listening(self) -> bool:
        with contextlib.suppress(OSError), socket_to(self.port):
            return True
        return False

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return how the process ended."""
        assert self.process
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@contextlib.contextmanager
def socket_to(port: int) -> Generator[socket.socket, None, None]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        yield connection


def prepared(name: str, beginning: str, folder: Path, sandbox: Sandbox) -> Example:
    """Copy the examples, with clients that poll often, and take the command that one prints."""
    shutil.copytree(EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    file, port = folder / "examples" / name, a_free_port()
    quick = file.read_text().replace("SunoCoverClient()", f"SunoCoverClient({QUICK})")
    assert quick.count(QUICK) == 1
    quick = quick.replace(" SunoCoverClient, ", " PollPolicy, SunoCoverClient, ")
    quick = quick.replace("    SunoCoverClient,\n", "    PollPolicy,\n    SunoCoverClient,\n")
    file.write_text(quick.replace("8080", str(port)))
    (words,) = printed_commands(name, beginning)[:1]
    words = ["-m", *words, "--port", str(port)] if words[0] == "uvicorn" else words[1:]
    return Example(folder, sandbox.api_key, sandbox.url, [sys.executable, *words], port)


@attrs.frozen
class Browser:
    """A client of an application's HTTP."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        """Send a body, as JSON unless it is bytes, and return the status and the answer's JSON."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        options = {"headers": JSON} | more
        async with self.session.post(
            URL(self.url + path, encoded=True), data=sent, **options
        ) as it:
            text = await it.text()
            return it.status, json.loads(text) if "json" in it.content_type else text

    async def get(self, path: str, **more: Any) -> tuple[int, bytes, Any]:
        """Return the status, the body and the headers of what is at a path, sent as it is."""
        async with self.session.get(URL(self.url + path, encoded=True), **more) as it:
            return it.status, await it.read(), it.headers

    async def ask(self, song: str, *, again: bool = False) -> str:
        """Ask for a cover, or by choice for one that failed, and return its path."""
        status, said = await self.post("/covers", {"song": song, "again": again})
        assert status == 202, said
        return str(said["cover"])

    @contextlib.asynccontextmanager
    async def stream(
        self, cover: str, after: Event | None = None
    ) -> AsyncGenerator[AsyncGenerator[Event, None], None]:
        """Open the stream of a cover's events; leaving the block closes the connection."""
        headers = {"Last-Event-ID": after.id} if after else {}
        async with self.session.get(f"{self.url}{cover}/events", headers=headers) as it:
            assert it.status == 200, await it.text()
            assert it.content_type == "text/event-stream"
            assert it.headers["X-Accel-Buffering"] == "no"
            yield events_in(it.content)
            it.close()

    async def watched(self, cover: str, after: Event | None = None) -> list[Event]:
        """Watch a cover to its end; comments are left out."""
        async with asyncio.timeout(PATIENCE), self.stream(cover, after) as events:
            return [event async for event in events if event.id]


async def events_in(content: aiohttp.StreamReader) -> AsyncGenerator[Event, None]:
    fields = dict[str, str]()
    while line := (await content.readline()).decode():
        if line == "\n":
            yield Event(fields.get("id", ""), json.loads(fields.get("data", "{}")))
            fields = {}
        else:
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value


def states(events: list[Event]) -> list[str]:
    return [event.data["state"] for event in events]


@contextlib.asynccontextmanager
async def browser(example: Example) -> AsyncGenerator[Browser, None]:
    async with aiohttp.ClientSession() as session:
        yield Browser(example.url, session)
