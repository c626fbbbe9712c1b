"""What is fuzzed in files and over sockets: ledgers, and whole HTTP answers.

`opened` makes the folder, the event loop and the server that these targets need, and clears them
away. A ledger is attacked twice: as bytes, wrecked at a few places, and as rows that any program
could have written into it.
"""

import asyncio
import contextlib
import functools
import gzip
import io
import itertools
import logging
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console

from suno_cover_async import (
    CoverDetails,
    CoverStatus,
    CoverTask,
    Ledger,
    LedgerEntry,
    LedgerError,
    RateLimit,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
    Track,
    TrackState,
)
from suno_cover_async.cli.actions.ledger_show import show_to_people
from suno_cover_async.cli.actions.unsaved import Unsaved
from suno_cover_async.cli.output.export import as_csv
from suno_cover_async.common.validation import is_task_id
from suno_cover_async.ledger.sqlite.database import open_to_write
from suno_cover_async.protocol import codec
from tests.proof import fuzz_targets
from tests.proof.fuzz_judge import Target, hold, told

COLUMNS = (
    *("music_task_id", "names", "state", "cover_task_id", "adopted", "images", "created_at"),
    *("completed_at", "files", "saved_on", "error", "reason", "submits", "retried", "put_off"),
)
_TAGS = {b"t": "CAST(? AS TEXT)", b"b": "?", b"i": "CAST(? AS INTEGER)", b"r": "CAST(? AS REAL)"}
_PATCH = 5  # bytes: where, in three, how many and with what


@contextlib.contextmanager
def opened() -> Generator[dict[str, Target], None, None]:
    """Yield all targets by name, those without files and sockets too."""
    logging.getLogger("suno_cover_async").addHandler(logging.NullHandler())  # no news of each 429
    memory = Path("/dev/shm")  # noqa: S108 - a disk would be synced for each input
    place = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder, asyncio.Runner() as runner:
        files = _Folder(Path(folder), runner)
        files.fill()
        server = runner.run(_Server.started())
        worlds = (
            Target(name="ledger-bytes", feed=files.open_wrecked, seeds=files.wrecks),
            Target(name="ledger-rows", feed=files.open_rows, seeds=_rows, longest=1 << 18),
            Target(
                name="http",
                feed=lambda given: runner.run(server.ask(given)),
                seeds=_https,
                weighed_from=0,
            ),
        )
        yield {target.name: target for target in (*fuzz_targets.TARGETS, *worlds)}
        runner.run(server.stopped())


# Ledgers


def row(**columns: str | bytes | float | None) -> bytes:
    """Write an input of the target `ledger-rows`: a valid row, but for these columns."""
    fine: dict[str, str | bytes | float | None] = {
        "music_task_id": "a1",
        "names": '{"One": {"bpm": 120}}',
        "state": "covered",
        "cover_task_id": "c1",
        "adopted": 0,
        "images": '["https://x.example/1.png", "https://x.example/2.png"]',
        "created_at": 1.7e9,
        "completed_at": 1.7e9,
        "files": "[]",
        "saved_on": "studio",
        "error": None,
        "reason": None,
        "submits": 1,
        "retried": 0,
        "put_off": None,
    }
    return b"\0".join(_field((fine | columns)[name]) for name in COLUMNS)


def _field(value: str | bytes | float | None) -> bytes:
    if isinstance(value, bytes):
        return b"b" + value
    tag = {str: b"t", int: b"i", float: b"r"}.get(type(value), b"n")
    return tag + (b"" if value is None else str(value).encode())


def wrecked(*patches: tuple[int, int, int], base: int = 0) -> bytes:
    """Write an input of the target `ledger-bytes`: where, how many, and which byte instead."""
    return bytes([base]) + b"".join(
        at.to_bytes(3, "big") + bytes((many, byte)) for at, many, byte in patches
    )


@attrs.frozen
class _Folder:
    """A folder with a few good ledgers, and one to be opened in their place."""

    _folder: Path
    _runner: asyncio.Runner
    _bases: list[bytes] = attrs.field(factory=list[bytes], init=False)

    @property
    def _path(self) -> Path:
        return self._folder / "covers.db"

    def fill(self) -> None:
        """Make the ledgers that inputs are wrecks of: empty, small, and of many pages."""
        for many in (0, 5, 60):
            self._sweep()
            self._runner.run(_covered(Ledger(self._path), many))
            self._bases.append(self._path.read_bytes())
        self._sweep()
        database, lock = open_to_write(self._path)
        database.execute("PRAGMA writable_schema = ON")  # hostile rows have any types
        database.execute("UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')')")
        database.execute("UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '')")
        database.execute("UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (', 'CHECK (1 OR ')")
        database.execute("PRAGMA journal_mode = DELETE")
        database.close()
        lock.release()
        self._bases.append(self._path.read_bytes())

    def wrecks(self) -> Iterable[bytes]:
        """Wreck what an opener reads: the header, the schema, rows, the end."""
        yield b""
        yield from (wrecked(base=base) for base in range(5))
        yield b"\x04no database at all"
        for base in range(3):
            for at in (0, 16, 18, 20, 28, 40, 44, 56, 60, 68, 92, 100, 103, 105, 108, 4096, 4100):
                yield wrecked((at, 1, 0xFF), base=base)
            yield wrecked((4000, 96, 0), base=base)

    def open_wrecked(self, given: bytes) -> str:
        """Open a ledger that is wrecked at some places, or that is just these bytes."""
        base, rest = given[:1], given[1:]
        if not base or base[0] % 5 == 4:
            return self._opened(rest)
        content = bytearray(self._bases[base[0] % 5])
        for start, end in itertools.pairwise(range(0, len(rest) + 1, _PATCH)):
            at = int.from_bytes(rest[start : start + 3], "big") % (len(content) or 1)
            many, byte = rest[end - 2], rest[end - 1]
            content[at : at + many] = bytes([byte]) * len(content[at : at + many])
        return self._opened(bytes(content))

    def open_rows(self, given: bytes) -> str:
        """Open a ledger into which a hostile row was written."""
        self._sweep()
        self._path.write_bytes(self._bases[3])
        fields = [*given.split(b"\0"), *[b"n"] * len(COLUMNS)][: len(COLUMNS)]
        marks = [_TAGS.get(field[:1], "NULL") for field in fields]
        values = [field[1:] for field in fields if field[:1] in _TAGS]
        database = sqlite3.connect(self._path, isolation_level=None)
        try:
            database.execute("PRAGMA synchronous = OFF")
            statement = f"INSERT INTO tracks ({', '.join(COLUMNS)}) VALUES ({', '.join(marks)})"  # noqa: S608 - marks of ours
            database.execute(statement, values)
        finally:
            database.close()
        return self._opened(self._path.read_bytes())

    def _opened(self, content: bytes) -> str:
        """List and export it in each way, then use it as a run does."""
        self._sweep()
        self._path.write_bytes(content)
        ledger = Ledger(self._path)
        ways: tuple[Callable[[Ledger], Coroutine[Any, Any, object]], ...] = (
            _listed,
            Ledger.totals,
            Ledger.runs,
            _exported,
            _displayed,
        )
        ends = [_ended(functools.partial(self._runner.run, way(ledger))) for way in ways]
        hold(self._path.read_bytes() == content, "changed by who only read it")
        self._sweep()  # a reader may leave empty files beside it
        self._path.write_bytes(content)
        ends.append(_ended(lambda: self._runner.run(_used(ledger, self._unchanged(content)))))
        return ", ".join(sorted({end for end in ends if end})) or "fine"

    def _unchanged(self, content: bytes) -> Callable[[], None]:
        def check() -> None:
            hold(self._path.read_bytes() == content, "refused, and changed")
            left = {file.name for file in self._folder.iterdir()} - {"covers.db", "covers.db.lock"}
            hold(not left, f"refused, and left with {left}")

        return check

    def _sweep(self) -> None:
        for file in self._folder.iterdir():
            file.unlink()


def _ended(work: Callable[[], object]) -> str:
    try:
        work()
    except LedgerError as error:
        told(error)
        return "refused"
    return ""


async def _covered(ledger: Ledger, many: int) -> None:
    """Bring some tracks to each state."""
    tracks = [Track(f"{number:032x}", title=f"Song {number}") for number in range(many)]
    async with ledger:
        await ledger.take_in(tracks)
        for entry in await ledger.next_open(TrackState.WAITING, 0, many):
            await _brought_on(ledger, entry)


async def _brought_on(ledger: Ledger, entry: LedgerEntry) -> None:
    if entry.number % 5:
        await ledger.submitting(entry)
    if entry.number % 5 > 1:
        task = CoverTask(cover_task_id=f"c{entry.number}", music_task_id=entry.music_task_id)
        await ledger.submitted(entry, task)
    if entry.number % 5 > 2:
        await ledger.covered(entry, _details(entry))
    if entry.number % 5 > 3:
        await ledger.claim_unsaved(1)
        await ledger.saved(entry, [Path("1.png"), Path("2.png")])


def _details(entry: LedgerEntry) -> CoverDetails:
    return CoverDetails(
        cover_task_id="c",
        music_task_id=entry.music_task_id,
        status=CoverStatus.SUCCESS,
        images=("https://x.example/1.png", "https://x.example/2.png"),
        completed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


async def _listed(ledger: Ledger) -> None:
    async for entry in ledger.entries():
        _check_entry(entry)


async def _exported(ledger: Ledger) -> None:
    async for line in as_csv(ledger, ()):
        line.encode()


async def _displayed(ledger: Ledger) -> None:
    console = Console(file=io.StringIO(), width=100)
    entries = [entry async for entry in ledger.entries()][:20]
    totals, runs = await ledger.totals(), await ledger.runs()
    show_to_people(console, ledger.name, totals, runs, entries, unsaved=Unsaved(covers=0))


async def _used(ledger: Ledger, unchanged: Callable[[], None]) -> None:
    """Do with it what a catalog's run does."""
    try:
        await ledger.__aenter__()
    except LedgerError:
        unchanged()
        raise
    async with contextlib.aclosing(ledger), ledger.lease("account"):
        await ledger.count()
        for state in TrackState:
            for entry in await ledger.next_open(state, 0, 100):
                _check_entry(entry)
        for entry in await ledger.claim([*TrackState], 100):
            _check_entry(entry)
            await ledger.release(entry)
        for entry in await ledger.claim_unsaved(100):
            _check_entry(entry)
            await ledger.saved(entry, entry.files)
        await ledger.take_in([Track("a1", title="Another name"), Track("new")])
        await ledger.retry_failed()
        await ledger.begin_intake("a")
        await ledger.forget_waiting()


def _check_entry(entry: LedgerEntry) -> None:
    """See that an entry is one that the rest of the package can live with."""
    hold(entry.tracks and is_task_id(entry.music_task_id), "an entry without music")
    hold(all(isinstance(dict(one.columns), dict) for one in entry.tracks), "columns that are none")
    task = entry.task
    hold(task is None or is_task_id(task.cover_task_id), "the cover task is no id")
    hold(all(type(url) is str for url in entry.images), "an image that is no text")
    hold(all("\0" not in str(file) for file in entry.files), "a file that no system has")
    for words in (entry.error, entry.reason):
        hold(words is None or type(words) is str, "words that are no text")
    hold(isinstance(entry.details.duration is None or entry.is_young, bool), "no age")


def _rows() -> Iterator[bytes]:
    yield row()
    known = [state.value for state in TrackState]
    for state in (*known, "unknown", "", "SAVED", -1, 3, 3.5, b"saved", None, 2**63 - 1):
        yield row(state=state)
    nothings = ("", "null", "{}", "[]", "5", '"abc"', "[null]", '{"a": null}', "[" * 5000, b"\xff")
    for column in ("names", "images", "files", "music_task_id", "cover_task_id", "reason"):
        for value in (*nothings, None, 5, 5.5, "x" * 5000, '["\\u0000"]', '{"\\ud800": {}}', "a\n"):
            yield row(**{column: value})
    for column in ("adopted", "submits", "retried", "put_off", "saved_on"):
        for value in (-1, 0, 1, 2, 2**63 - 1, 1.5, "1", "", b"1", None):
            yield row(**{column: value})
    for moment in (-1e300, 1e300, -62135600000.0, 253402300800.0, "soon", b"1", None, 9**18):
        yield row(completed_at=moment, created_at=moment)


# Whole HTTP answers


def http(call: str, content: bytes) -> bytes:
    """Write an input of the target `http`."""
    return bytes([fuzz_targets.CALLS.index(call)]) + content


def head(*fields: str, status: str = "200 OK") -> bytes:
    """Write the head of an HTTP answer."""
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode("latin-1")


def chunked(content: bytes, size: int) -> bytes:
    """Write a body in chunks."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


_BROTLI_BOMB = bytes.fromhex("cfffff7f002400e2b14072effff9ffff0f8004401c1680ee")  # of 400 MiB


class _Server:
    """Answers every connection with the bytes it is given, whatever they are."""

    def __init__(self) -> None:
        self._answer = b""
        self._server: asyncio.Server | None = None

    @classmethod
    async def started(cls) -> "_Server":
        server = cls()
        server._server = await asyncio.start_server(server._serve, "127.0.0.1", 0)
        return server

    async def stopped(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._answer)
            await writer.drain()
        writer.close()

    async def ask(self, given: bytes) -> str:
        """Make one call that is answered by these bytes; each client is new, since 429s last."""
        assert self._server is not None
        self._answer = given[1:]
        name = fuzz_targets.CALLS[given[0] % len(fuzz_targets.CALLS)] if given else "details"
        url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        policies = {
            "rate_limit": RateLimit(calls=100, seconds=1),
            "retry": RetryPolicy(max_attempts=1, attempt_timeout=0.2),
        }
        async with SunoCoverClient("sk-7f3a9c", base_url=url, **policies) as client:  # type: ignore[arg-type]
            calls = {
                "submit": lambda: client.submit(fuzz_targets.MUSIC),
                "details": lambda: client.details(fuzz_targets.COVER),
                "music": lambda: client.music_details(fuzz_targets.MUSIC),
                "credits": client.credits,
            }
            try:
                value = await calls[name]()
            except SunoCoverError as error:
                return told(error)
        fuzz_targets.check_value(value)
        return type(value).__name__


def _https() -> Iterator[bytes]:
    body = codec.encode_answer(200, "success", {"taskId": fuzz_targets.COVER, "successFlag": 2})
    fit = f"Content-Length: {len(body)}"
    for call in fuzz_targets.CALLS:
        yield http(call, head(fit) + body)
    for encoding, packed in (
        ("gzip", gzip.compress(body, mtime=0)),
        ("gzip", gzip.compress(bytes(1 << 24), mtime=0)),
        ("deflate", zlib.compress(body)),
        ("deflate", zlib.compress(bytes(1 << 24))),
        ("gzip, gzip", gzip.compress(gzip.compress(body, mtime=0), mtime=0)),
        ("br", _BROTLI_BOMB),  # refused where nothing reads it
        ("br", body),
        ("zstd", body),
        ("identity", body),
        ("\xff", body),
    ):
        fields = (f"Content-Encoding: {encoding}", "Content-Type: application/json; charset=utf-7")
        yield http("details", head(*fields, f"Content-Length: {len(packed)}") + packed)
        yield http("submit", head(*fields, "Transfer-Encoding: chunked") + chunked(packed, 7))
    for status in ("100 Continue", "101 a", "204 a", "301 a", "429 a", "503 a", "999 a", "20 a"):
        yield http("submit", head("Location: //x", "Retry-After: 7", fit, status=status) + body)
    odd: tuple[tuple[str, ...], ...] = (
        ("Content-Length: 1", "Content-Length: 2"),
        ("Content-Length: -1",),
        ("Content-Length: " + "9" * 100,),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Set-Cookie: \x01=\x02; a",),
        ("Set-Cookie: " + "a=b; " * 1000,),
        ("X: " + "a" * 8000,),
        ("X: " + "a" * 60_000,),
        ("\x00: \x00",),
        ("X: a\r\n b",),
        ("Retry-After: " + "9" * 8000, "Date: " + "9" * 8000),
        *(tuple(f"X-{number}: a" for number in range(most)) for most in (100, 4000)),
        ("Link: <", "Location: http://[", "Content-Type: a/b; charset=\xff"),
    )
    for lines in odd:
        yield http("details", head(*lines) + body)
    yield from (
        http("details", raw) for raw in (b"", b"\0" * 99, b"HTTP/9.9", b"HTTP/1.1 200", body)
    )
    yield http("details", head(status="100 Continue") * 500 + head(fit) + body)
    yield http("details", head("Transfer-Encoding: chunked") + chunked(body, 1))
    yield http("details", head("Transfer-Encoding: chunked") + b"ffffffffffffffffff\r\n" + body)
    yield http("details", head("Transfer-Encoding: chunked") + b"1;" + b"a" * 9000 + b"\r\n{")
    yield http("details", head("Transfer-Encoding: chunked") + b"0\r\n" + b"a: b\r\n" * 5000)
