"""The review page, served to raw HTTP, and ledgers with covers to choose from."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import attrs

from suno_cover_async import CoverTask, Ledger, LedgerEntry, Track, TrackState
from suno_cover_async.review.server import listen
from suno_cover_async.sandbox.images import draw
from tests.support.commands import PATIENCE
from tests.support.saved_covers import a_cover

SIDE = 48
"""Of the images, in pixels."""

SONGS = [Track(f"m{number}", title=f"Song {number}") for number in range(1, 4)]


async def add_saved(ledger: Ledger, tracks: Sequence[Track], folder: Path) -> None:
    """Add covers with two saved images for each title; the ledger must be open."""
    await ledger.take_in(tracks)
    folder.mkdir(exist_ok=True)
    for entry in await ledger.next_open(TrackState.WAITING, 0, len(tracks)):
        details = a_cover(entry.tracks[0])
        task = CoverTask(
            cover_task_id=details.cover_task_id, music_task_id=entry.music_task_id, adopted=False
        )
        await ledger.submitted(entry, task)
        await ledger.covered(entry, details)
        await ledger.saved(entry, write_images(entry, folder))


def write_images(entry: LedgerEntry, folder: Path) -> list[Path]:
    files: list[Path] = []
    for title in range(len(entry.tracks)):
        for style in (1, 2):
            files.append(folder / f"{entry.music_task_id}-{title}-{style}.png")
            files[-1].write_bytes(draw(entry.music_task_id, style, SIDE))
    return files


async def a_ledger(folder: Path, tracks: Sequence[Track] = SONGS) -> Path:
    """Make `covers.db` with saved covers of these tracks, whose images are in `covers/`."""
    path = folder / "covers.db"
    async with Ledger(path) as ledger:
        await add_saved(ledger, tracks, folder / "covers")
    return path


@attrs.frozen
class Answer:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert list(self.json) == ["error"]
        return str(self.json["error"])


@attrs.define
class Page:
    """A client of the page that sends what it is told to, and a browser's headers by default.

    Attributes:
        port: Where the page is.
        urls: Each person's first URL.
        renewed: The URLs that were told since, with their persons.
        prefix: Where the page is mounted.
        session: The Cookie header.
        scheme: That of the Origin.
    """

    port: int
    urls: dict[str, str] = attrs.field(factory=dict[str, str])
    renewed: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])
    prefix: str = "/"
    session: str | None = None
    scheme: str = "http"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    async def enter(self, person: str = "Ann") -> Answer:
        """Use a person's first URL, and keep the session."""
        answer = await self.get(self.urls[person].partition(f"{self.port}/")[2])
        self.session = answer.headers["set-cookie"].partition(";")[0]
        return answer

    async def get(self, path: str, **headers: str | None) -> Answer:
        return await self.ask("GET", path, headers=headers)

    async def send(self, method: str, path: str, body: object, **headers: str | None) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        usual: dict[str, str | None] = {
            "origin": self.origin,
            "content_type": "application/json",
        }
        return await self.ask(method, path, headers=usual | headers, body=content)

    async def choose(self, number: int, decision: str, image: int | None, revision: int) -> Answer:
        body = {"decision": decision, "image": image, "revision": revision}
        return await self.send("PUT", f"api/pairs/{number}/choice", body)

    def head_of_a_choice(self, number: int, length: int) -> bytes:
        """Return the head of a choice whose body has this length."""
        lines = [
            f"PUT {self.prefix}api/pairs/{number}/choice HTTP/1.1",
            f"Host: {self.host}",
            f"Cookie: {self.session}",
            f"Origin: {self.origin}",
            "Content-Type: application/json",
            "Connection: close",
            f"Content-Length: {length}",
            "\r\n",
        ]
        return "\r\n".join(lines).encode()

    async def ask(
        self, method: str, path: str, *, headers: dict[str, str | None], body: bytes = b""
    ) -> Answer:
        usual: dict[str, str | None] = {
            "host": self.host,
            "cookie": self.session,
            "connection": "close",
        }
        if body:
            usual["content_length"] = str(len(body))
        given = (usual | headers).items()
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in given if value is not None]
        head = "\r\n".join([f"{method} {self.prefix}{path} HTTP/1.1", *lines, "", ""])
        return await self.raw(head.encode() + body)

    async def raw(self, request: bytes) -> Answer:
        async with self.connection() as (reader, writer):
            writer.write(request)
            return await an_answer(reader)

    @contextlib.asynccontextmanager
    async def connection(
        self,
    ) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(PATIENCE):
                yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def an_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer, whose connection is then closed."""
    received = await reader.read()
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


@contextlib.asynccontextmanager
async def serving(
    ledger: Path | Ledger, people: Sequence[str] = ("Ann", "Ben"), **options: Any
) -> AsyncGenerator[Page, None]:
    """Serve the page on a free port, with nobody in it yet."""
    renewed: list[tuple[str, str]] = []

    def tell(person: str, url: str) -> None:
        renewed.append((person, url))

    given: dict[str, Any] = {"host": "127.0.0.1", "port": 0} | options
    async with listen(ledger, people=people, renewed=tell, **given) as urls:
        port = int(urls[people[0]].partition("/?")[0].rpartition(":")[2])
        yield Page(port, urls, renewed)


@contextlib.asynccontextmanager
async def entered(ledger: Path | Ledger, **options: Any) -> AsyncGenerator[Page, None]:
    """Serve the page, with Ann in it."""
    async with serving(ledger, **options) as page:
        await page.enter()
        yield page
