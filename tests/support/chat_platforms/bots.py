"""The bots of `examples/` as processes, and what all chat platforms have in common."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Protocol, Self

import aiohttp
import attrs

from suno_cover_async.sandbox import Sandbox
from tests.support.chat_platforms.stand_in import STARTED, StandIn

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
NAMES = "    InvalidRequestError,\n"
QUICK = (
    "poll=PollPolicy(initial_delay=0.05, min_interval=0.05), "
    "rate_limit=RateLimit(calls=500, seconds=1)"
)


class Chat(Protocol):
    """A chat platform with its people, as the tests use it.

    Attributes:
        program: The example that is its bot.
        secrets: What must be in no text and no log.
        acknowledged: When each command was answered first, by `time.monotonic`.
        messages: The texts of each message that all can read, from its first to its last.
        refusals: The answers to commands that began nothing.
        server: The platform's server.
    """

    @property
    def program(self) -> str: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    @property
    def server(self) -> StandIn: ...

    @property
    def acknowledged(self) -> list[float]: ...

    @property
    def messages(self) -> list[list[str]]: ...

    @property
    def refusals(self) -> list[str]: ...

    @property
    def images(self) -> list[bytes]:
        """The images that were sent."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """What the bot finds in its environment."""
        ...

    @property
    def command(self) -> tuple[str, ...]:
        """How the program is started."""
        ...

    async def ask(self, song: str, *, user: str = "ada") -> None:
        """Send `/cover` by one of those who may (ada, bob) or may not (eve), once a bot is there.

        Return when the platform has delivered it.
        """
        ...

    def refuse(self, kind: str) -> None:
        """Refuse the next edit and file: `busy` with 429, `broken` with 5xx, `cut` off."""
        ...

    def is_harmless(self, text: str) -> bool:
        """Whether a text that says `*all* <!channel>` formats nothing and mentions nobody."""
        ...

    def is_told_to_stop(self, log: str) -> bool:
        """Whether the bot takes no more commands, by its log or otherwise."""
        ...

    def forget(self) -> None:
        """Forget all messages, whose covers are finished, so that the next test finds its own."""
        ...


@attrs.frozen
class Bot:
    """A folder with an example, and what its process finds in its environment."""

    folder: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[asyncio.subprocess.Process, None]:
        """Run the bot, which is killed at the end if it still runs."""
        with (self.folder / "bot.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *self.command),
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def with_variables(self, **variables: str) -> Self:
        """Return the same bot with other values in its environment."""
        return attrs.evolve(self, environment={**self.environment, **variables})

    @property
    def log(self) -> str:
        """What all its processes wrote."""
        return (self.folder / "bot.log").read_text()


def bot_of(chat: Chat, folder: Path, sandbox: Sandbox, **changes: str) -> Bot:
    """Copy an example whose client polls often.

    Args:
        chat: The platform.
        folder: Where the bot runs.
        sandbox: The API that it calls.
        changes: Constants of the example with other values, such as `WAIT="0.3"`.
    """
    program = (EXAMPLES / chat.program).read_text()
    quick = program.replace("SunoCoverClient()", f"SunoCoverClient({QUICK})").replace(
        NAMES, f"{NAMES}    PollPolicy,\n    RateLimit,\n", 1
    )
    assert (quick.count("PollPolicy"), quick.count(QUICK)) == (2, 1)
    for name, value in changes.items():
        before = next(line for line in quick.splitlines() if line.startswith(f"{name} = "))
        quick = quick.replace(before, f"{name} = {value}")
    (folder / chat.program).write_text(quick)
    here = {
        "SUNO_API_KEY": sandbox.api_key,
        "SUNO_BASE_URL": sandbox.url,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    return Bot(folder, chat.command, os.environ | here | chat.environment)


async def stopped(process: asyncio.subprocess.Process, *signals: signal.Signals) -> int:
    """Send signals and return the exit code."""
    for one in signals:
        process.send_signal(one)
    async with asyncio.timeout(STARTED):
        return await process.wait()


async def images_of(sandbox: Sandbox, since: int = 0) -> list[bytes]:
    """Return the bytes of each image that the sandbox was asked for, since an arrival."""
    later = sandbox.journal.arrivals[since:]
    paths = dict.fromkeys(one.path for one in later if one.kind == "image")
    async with aiohttp.ClientSession() as session:
        return [await read(session, f"{sandbox.url}{path}") for path in paths]


async def read(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url, headers={"User-Agent": "tests"}) as answer:
        assert answer.status == 200
        return await answer.read()
