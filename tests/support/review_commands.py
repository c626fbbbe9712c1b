"""The command `review` in a process of its own, with a client of its page."""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import attrs

from tests.support.commands import Ended, environment, finish, line_with, start
from tests.support.review_pages import Page

URL = re.compile(r"(.+): (http://(.+):(\d+)/\?token=[\w-]{43})\n")


@attrs.define
class Review:
    """The command, and a client of its page."""

    process: asyncio.subprocess.Process
    page: Page

    async def next_url(self, person: str) -> str:
        line = await line_with(self.process.stdout, f"{person}: http")
        found = URL.fullmatch(line)
        assert found is not None, line
        return found[2]

    async def end(self, number: signal.Signals = signal.SIGINT) -> Ended:
        self.process.send_signal(number)
        return await finish(self.process)


@contextlib.asynccontextmanager
async def reviewing(
    folder: Path, *more: str, people: tuple[str, ...] = ("Ann",), **variables: str
) -> AsyncGenerator[Review, None]:
    """Run the command on `covers.db` of a folder, with nobody in it yet."""
    names = [word for person in people for word in ("--as", person)]
    options = more if "--port" in more else ("--port", "0", *more)
    process = await start(
        *("review", "covers.db", *names, *options), cwd=folder, env=environment(**variables)
    )
    try:
        review = Review(process, Page(0))
        for person in people:
            review.page.urls[person] = await review.next_url(person)
        review.page.port = int(review.page.urls[people[0]].split("/")[2].rpartition(":")[2])
        yield review
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()
