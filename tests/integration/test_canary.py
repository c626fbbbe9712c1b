"""The key, the secrets and the tokens stay where they belong, whatever happens.

Where they belong, and how far the search for them goes, is said in `canary.py`. All loggers are at
DEBUG; where the loop's debug mode may tell more, it is on, and tells of every callback.
"""

import asyncio
import contextlib
import copy
import gc
import itertools
import json
import logging
import pickle
import signal
import subprocess
import sys
import types
import warnings
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
import attrs
import click
import pytest
from yarl import URL

import suno_cover_async as package
from suno_cover_async import (
    Callback,
    CallbackReceiver,
    CoverDetails,
    CoverStatus,
    Ledger,
    RateLimit,
    RateLimiter,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
    TransportError,
    cover_catalog,
    errors,
)
from suno_cover_async.cli.app import commands
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.contact_sheet import contact_sheet
from suno_cover_async.sandbox import Fault, Kind, Reply, Sandbox, Scenario
from tests.support.canary import (
    API_KEY,
    HMAC_KEY,
    SECRET,
    Search,
    environment,
    forms,
)
from tests.support.clients import FAST_POLL, NO_LIMIT
from tests.support.commands import Ended, Run, a_free_port, finish, has_billed, needs_posix, start
from tests.support.peers import Peer, peer, waits_for_the_end
from tests.support.peers import answer as said
from tests.support.runs import read_now
from tests.support.waiting import thrown, until

ONCE = RetryPolicy(max_attempts=1, attempt_timeout=0.2)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
FREE = Scenario(seconds=0, rate_limit=None, image_size=16)


Observing = Callable[..., AbstractAsyncContextManager[Search]]


@pytest.fixture
def observing(caplog: pytest.LogCaptureFixture) -> Observing:
    """Have everything tell all it can: loggers, warnings and the loop; no secret may be in it."""

    @asynccontextmanager
    async def observed(*, debug: bool = False) -> AsyncIterator[Search]:
        caplog.set_level(logging.DEBUG)
        caplog.clear()
        search, complaints = Search(API_KEY, SECRET, HMAC_KEY), list[dict[str, Any]]()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        loop.set_debug(debug)
        loop.slow_callback_duration = 0.0  # in debug mode, each is told of
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield search
            gc.collect()
        loop.set_debug(False)
        search.contexts(complaints)
        search.records(caplog.records)
        for warning in warned:
            search.text("warning", str(warning.message))
        assert search.searched
        assert not search.hits

    return observed


def at(place: Peer | Sandbox, **options: Any) -> SunoCoverClient:
    defaults: dict[str, Any] = {"rate_limit": NO_LIMIT, "poll": FAST_POLL, "retry": ONCE}
    return SunoCoverClient(API_KEY, **({"base_url": place.url} | defaults | options))


Verb = Callable[[SunoCoverClient], Coroutine[Any, Any, object]]


def polls(song: str) -> list[Verb]:
    """Name every kind of request."""
    return [
        lambda client: client.details("cover"),
        lambda client: client.credits(),
        lambda client: client.music_details(song),
        lambda client: client.submit(song),
    ]


def details(*images: str) -> CoverDetails:
    return CoverDetails(cover_task_id="cover", status=CoverStatus.SUCCESS, images=images)


async def tried(
    search: Search, client: SunoCoverClient, verbs: Sequence[Verb] | None = None
) -> list[object]:
    """Do it all, and look at what comes of it; returns that."""
    found: list[object] = []
    for number, verb in enumerate(verbs or polls("music")):
        try:
            value = await verb(client)
        except SunoCoverError as error:
            search.error(f"verb {number}", error)
            found.append(error)
        else:
            search.value(f"verb {number}", value)
            found.append(value)
    search.value("client", client)
    return found


# --- the search finds -------------------------------------------------------------------------


@pytest.mark.parametrize("form", forms(API_KEY))
@pytest.mark.parametrize("secret", [API_KEY, SECRET, HMAC_KEY], ids=["key", "secret", "hmac"])
def test_the_search_finds_a_secret_in_every_form(form: str, secret: str) -> None:
    written = forms(secret)[form]
    for text in (written, written.encode(), f"<{written}>".encode("utf-16")):
        search = Search(API_KEY, SECRET, HMAC_KEY)
        search.text("here", text)
        assert search.hits


def test_the_search_finds_a_piece_and_takes_nothing_else_for_one() -> None:
    half, other = Search(API_KEY), Search(API_KEY)
    half.text("half", f"it begins with {API_KEY[: len(API_KEY) // 2]}")
    other.text("other", API_KEY[:15] + "1" + API_KEY[16:20] + API_KEY[::-1])

    assert half.hits
    assert not other.hits


def raised(act: Callable[[], object]) -> Exception:
    """Return what it raises."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - any
        return error
    raise AssertionError("it raised nothing")


FRAME = compile("lambda secret: len(secret) // 0", "/site-packages/foreign.py", "eval")
knows: Callable[[str], object] = eval(FRAME)  # noqa: S307 - a frame that is in no test's file


def chained(link: str) -> Exception:
    error = ValueError("harmless")
    setattr(error, link, raised(lambda: knows(API_KEY)))
    return error


def noted() -> Exception:
    error = ValueError("harmless")
    error.add_note(f"the key was {API_KEY}")
    return error


def record(**more: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": "harmless", **more})


@attrs.frozen
class Shy:
    """Shows nothing, and sends everything."""

    key: str = attrs.field(repr=False)


def failed(error: Exception) -> tuple[Any, ...]:
    return type(error), error, error.__traceback__


def left(search: Search, file: Path) -> None:
    file.write_text(forms(API_KEY)["percent"] if file.name == "x" else "")
    search.folder(file.parent)


def started(search: Search) -> None:
    command = [sys.executable, "-c", "input()", f"--key={API_KEY}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # noqa: S603
        search.command_lines(process.pid)
        process.communicate(b"\n")


PLANTED: dict[str, Callable[[Search, Path], object]] = {
    "an argument": lambda search, _: search.error("", ValueError(API_KEY)),
    "a note": lambda search, _: search.error("", noted()),
    "a frame": lambda search, _: search.error("", raised(lambda: knows(API_KEY))),
    "a cause": lambda search, _: search.error("", chained("__cause__")),
    "a context": lambda search, _: search.error("", chained("__context__")),
    "a group": lambda search, _: search.error(
        "", ExceptionGroup("harmless", [chained("__cause__")])
    ),
    "an attribute": lambda search, _: search.value("", types.SimpleNamespace(key=API_KEY)),
    "a pickle": lambda search, _: search.value("", Shy(API_KEY)),
    "a log line": lambda search, _: search.records([record(msg=f"Bearer {API_KEY}")]),
    "a log argument": lambda search, _: search.records([record(msg="%.4s", args=([API_KEY],))]),
    "a log's exception": lambda search, _: search.records(
        [record(exc_info=failed(raised(lambda: knows(API_KEY))))]
    ),
    "a complaint": lambda search, _: search.contexts([{"message": "", "headers": [API_KEY]}]),
    "a complaint's exception": lambda search, _: search.contexts(
        [{"message": "", "exception": chained("__context__")}]
    ),
    "a file": lambda search, folder: left(search, folder / "x"),
    "a command line": lambda search, _: started(search),
    "a file's name": lambda search, folder: left(search, folder / forms(API_KEY)["percent, all"]),
}


@pytest.mark.parametrize("place", PLANTED)
def test_the_search_finds_what_was_planted(place: str, tmp_path: Path) -> None:
    if place == "a command line" and not Path("/proc/self/cmdline").exists():
        pytest.skip("no /proc")
    search = Search(API_KEY, SECRET)

    PLANTED[place](search, tmp_path)

    assert search.hits


# --- the library ------------------------------------------------------------------------------


@asynccontextmanager
async def door() -> AsyncIterator[CallbackReceiver]:
    """Have a receiver listen by itself."""
    port = a_free_port()
    url = f"http://127.0.0.1:{port}/suno"
    receiver = CallbackReceiver(public_url=url, secret=SECRET, hmac_key=HMAC_KEY)
    async with receiver.listen("127.0.0.1", port):
        yield receiver


async def test_no_fault_of_the_api_shows_a_secret(observing: Observing) -> None:
    found: list[object] = []
    async with (
        observing() as search,
        door() as receiver,
        Sandbox(attrs.evolve(FREE, hmac_key=HMAC_KEY), api_key=API_KEY) as sandbox,
    ):
        songs = sandbox.add_music([f"music {fault.value}".replace(" ", "-") for fault in Fault])
        search.tokens(receiver, *songs)
        poll = attrs.evolve(FAST_POLL, timeout=0.05)  # so long a callback is waited for
        async with at(sandbox, receiver=receiver, poll=poll) as client:
            for song, fault in zip(songs, Fault, strict=True):
                for kind in ("details", "credits", "music", "submit"):
                    sandbox.script(kind, fault)
                found += await tried(search, client, polls(song))
        search.value("receiver", receiver)

    failed = [one for one in found if isinstance(one, SunoCoverError)]
    assert len(failed) > 2 * len(Fault)
    assert sandbox.journal.callbacks


@pytest.mark.parametrize("mishap", ["doubled", "early", "late", "forged"])
async def test_no_mishap_of_a_callback_shows_a_secret(observing: Observing, mishap: str) -> None:
    options: dict[str, Any] = {"late_seconds": 0.02, f"{mishap}_callbacks": 1.0}
    scenario = Scenario(seconds=0.01, rate_limit=None, hmac_key=HMAC_KEY, **options)
    async with (
        observing(debug=True) as search,
        door() as receiver,
        Sandbox(scenario, api_key=API_KEY) as sandbox,
        at(sandbox, receiver=receiver) as client,
    ):
        [song] = sandbox.add_music()
        search.tokens(receiver, song)
        await tried(search, client, [lambda client: client.generate(song)])
        await until(lambda: sandbox.journal.callbacks)


async def test_what_comes_to_the_door_is_quoted_nowhere(observing: Observing) -> None:
    async with observing() as search, door() as receiver:
        path = receiver.url("music").removeprefix(str(URL(receiver.url("music")).origin()))
        search.tokens(receiver, "music")
        port = URL(receiver.url("music")).port
        signed = f"X-Webhook-Timestamp: 1\r\nX-Webhook-Signature: {HMAC_KEY}"
        for line in (
            f"POST {path} HTTP/9.9",
            f"POST {path}",
            f"P@ST {path} HTTP/1.1\r\n: {path}",
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {path}",
            f"POST {path} HTTP/1.1\r\nHost: x\r\n{path}\x00",
            f"POST {path} HTTP/1.1\r\nHost: x\r\n{signed}\r\nContent-Length: 2\r\n\r\n[]",
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{line}\r\n\r\n".encode("latin-1"))
            writer.write_eof()
            assert b" 200 " not in await reader.read()
            writer.close()
            await writer.wait_closed()
        for headers in ({}, {"X-Webhook-Timestamp": "1", "X-Webhook-Signature": HMAC_KEY}):
            search.error("read", raised(partial(receiver.read, "POST", path, headers, b"{}")))


ECHOED: list[tuple[int, object]] = [
    *((3, {"code": code, "msg": "no {}", "data": None}) for code in (200, 400, 401, 409)),
    *((3, {"code": code, "msg": "{}", "data": {"taskId": "{}"}}) for code in (400, 455, 501)),
    (1, {"code": 401, "msg": ["no such key", "{}"]}),
    (1, {"code": 401, "msg": "x" * 290 + "{}"}),
    (1, {"code": 200, "data": "{}"}),
    (1, {"code": "{}", "data": {"{}": 1}}),
    (3, {"code": 200, "data": {"taskId": "{}"}}),
    (2, {"code": 200, "data": {"taskId": "{}", "status": "SUCCESS"}}),
    (2, {"code": 200, "data": {"taskId": "music", "status": "{}"}}),
    (0, {"code": 200, "data": {"taskId": "{}", "successFlag": 1}}),
    (0, {"code": 200, "data": {"taskId": "cover", "successFlag": 3, "errorMessage": "bad {}"}}),
    (0, {"code": 200, "data": {"taskId": "cover", "successFlag": 2, "parentTaskId": "{}"}}),
    (0, {"code": 200, "data": {"taskId": "cover", "response": {"images": ["https://x/{}"]}}}),
]
KINDS: tuple[Kind, ...] = ("details", "credits", "music", "submit")


async def test_a_key_that_the_api_sends_back_in_any_form_is_shown_nowhere(
    observing: Observing,
) -> None:
    async with observing() as search, Sandbox(FREE, api_key=API_KEY) as sandbox:
        songs = (f"song-{number}" for number in itertools.count())  # none that is in doubt
        for form, written in forms(API_KEY).items():
            escaped = written if form.startswith("JSON") else json.dumps(written)[1:-1]
            pages = [f"<html>{written}</html>", f'{{"code": 401, "msg": "{escaped}']
            said = [(verb, json.dumps(body).replace("{}", escaped)) for verb, body in ECHOED]
            async with at(sandbox) as client:
                for verb, body in (*said, *((1, page) for page in pages)):
                    sandbox.script(KINDS[verb], Reply(body=body.encode()))
                    song = "music" if KINDS[verb] == "music" else next(songs)
                    await tried(search, client, [polls(song)[verb]])
                search.value("unclaimed", client.unclaimed)

    assert len(sandbox.journal.arrivals) == len(forms(API_KEY)) * (len(ECHOED) + 2)


HEADERS = [
    "Retry-After: {}",
    "Location: https://127.0.0.1:1/{}",
    "Set-Cookie: {}=1",
    "Set-Cookie: a={}; Path=/{}; Domain={}",
    'Set-Cookie: "Bearer {}"=1',
    "Content-Type: {}",
    "Content-Encoding: {}",
    "Date: {}",
    "X-{}: {}",
    "{}",
    "{}: {}",
    "Content-Length: {}",
    "Transfer-Encoding: {}",
]
STATUSES = ["200 {}", "429 {}", "401 {}", "302 {}", "{} OK", "502 Bearer {}"]


@pytest.mark.parametrize("borrowed", [False, True])
async def test_a_key_in_a_head_is_shown_nowhere(observing: Observing, *, borrowed: bool) -> None:
    heads = [("429 Slow down", header) for header in HEADERS]
    heads += [("302 Found", "Location: https://127.0.0.1:1/{}")]
    heads += [(status, "X-Other: 1") for status in STATUSES]
    async with (
        observing() as search,
        peer() as place,
        contextlib.AsyncExitStack() as stack,
    ):
        session = await stack.enter_async_context(aiohttp.ClientSession()) if borrowed else None
        named = place.url.replace("127.0.0.1", "localhost")  # no jar reads an address's
        client = await stack.enter_async_context(at(place, base_url=named, session=session))
        for status, header in heads:
            echo, line = (words.replace("{}", API_KEY) for words in (header, status))
            place.otherwise = said(b'{"code": 401, "msg": "no"}', echo, status=line)
            if not (borrowed and header.startswith("Set-Cookie")):  # aiohttp logs odd names there
                await tried(search, client, polls("music")[1:])

    assert len(place.received) > 2 * len(heads)


WIRE: dict[str, bytes] = {
    "nothing": b"",
    "garbage": bytes(range(256)),
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": said(b'{"code": 200, "data": 1')[:-3],
    "trickle": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + bytes(70_000),
    "a bomb": said(zlib.compress(bytes(1 << 22)), "Content-Encoding: deflate"),
}


@pytest.mark.parametrize("borrowed", [False, True])
async def test_no_fault_of_the_wire_shows_a_secret(observing: Observing, *, borrowed: bool) -> None:
    async with (
        observing(debug=True) as search,
        peer() as place,
        contextlib.AsyncExitStack() as stack,
    ):
        session = await stack.enter_async_context(aiohttp.ClientSession()) if borrowed else None
        async with at(place, session=session) as client:
            for place.otherwise in WIRE.values():
                await tried(search, client)
        nobody = f"http://127.0.0.1:{a_free_port()}"
        async with at(place, base_url=nobody, session=session) as client:
            await tried(search, client)

    assert len(place.received) >= 4 * len(WIRE)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_a_secret_to_another_host(
    observing: Observing, tmp_path: Path, status: int
) -> None:
    async with (
        observing() as search,
        door() as receiver,
        peer(said(PNG)) as other,
        peer(said(b"", f"Location: {other.url}/x", status=f"{status} -")) as place,
        at(place, receiver=receiver) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        search.tokens(receiver, "music")
        session = await stack.enter_async_context(aiohttp.ClientSession())
        borrowed = await stack.enter_async_context(at(place, receiver=receiver, session=session))
        for one in (client, borrowed):
            await tried(search, one)
        asked_api = len(other.received)
        saved = await client.download(details(f"{place.url}/1.png"), tmp_path)
        search.folder(tmp_path)
        for received in (*other.received, place.received[-1]):
            search.text("another host", received)

    assert asked_api == 0
    assert len(other.received) == len(saved) == 1


# --- interrupted ------------------------------------------------------------------------------


INTERRUPTS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, MemoryError, AssertionError)


@pytest.mark.parametrize("borrowed", [False, True])
async def test_no_interrupt_anywhere_carries_a_frame_that_knows_a_secret(
    observing: Observing, *, borrowed: bool
) -> None:
    met = 0
    async with (
        observing() as search,
        Sandbox(FREE, api_key=API_KEY) as sandbox,
        contextlib.AsyncExitStack() as stack,
    ):
        session = await stack.enter_async_context(aiohttp.ClientSession()) if borrowed else None
        for kind in INTERRUPTS:
            for after in range(1, 6):
                async with at(sandbox, session=session) as client:
                    sandbox.script("credits", Reply(body=f"{API_KEY:5000}".encode()))
                    try:
                        await thrown(client.credits(), after, kind("thrown"))
                    except (SunoCoverError, *INTERRUPTS) as error:
                        search.error(f"{kind.__name__} at {after}", error)
                        met += isinstance(error, kind)

    assert met >= 2 * len(INTERRUPTS)


async def test_no_cancellation_anywhere_carries_a_frame_that_knows_a_secret(
    observing: Observing,
) -> None:
    cancelled = 0
    async with (
        observing() as search,
        door() as receiver,
        Sandbox(attrs.evolve(FREE, seconds=60), api_key=API_KEY) as sandbox,
    ):
        songs = sandbox.add_music(24)
        search.tokens(receiver, *songs)
        for turns, song in enumerate(songs):
            async with at(sandbox, receiver=receiver) as client:
                task = asyncio.create_task(client.generate(song))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                [error] = await asyncio.gather(task, return_exceptions=True)
                search.error(f"turn {turns}", cast("BaseException", error))
                cancelled += isinstance(error, asyncio.CancelledError)
                search.value("client", client)

    assert cancelled == len(songs)
    assert sandbox.journal.bills


async def test_a_callers_own_timeout_in_the_middle_of_an_answer_knows_no_secret(
    observing: Observing,
) -> None:
    begun = said(API_KEY.encode() + bytes(99), f"X-Echo: {API_KEY}", status=f"200 {API_KEY}")[:-9]
    async with observing() as search, peer(begun) as place:
        place.tail = waits_for_the_end
        async with at(place, retry=RetryPolicy(max_attempts=1, attempt_timeout=0.2)) as client:
            for verb in polls("music")[:3]:
                with pytest.raises(TimeoutError) as caught:
                    async with asyncio.timeout(0.05):
                        await verb(client)
                search.error("timeout", caught.value)


class OwnError(Exception):
    """A borrowed session's middleware has errors of its own."""


@pytest.mark.parametrize("kind", ["plain", "chained", "interrupt"])
async def test_the_error_of_a_borrowed_sessions_middleware_passes_without_what_knows_the_key(
    observing: Observing, kind: str
) -> None:
    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        if kind == "interrupt":
            raise KeyboardInterrupt
        try:
            response.raise_for_status()
        except aiohttp.ClientResponseError as error:
            if kind == "chained":
                raise OwnError("mine") from error
        raise OwnError("mine")

    async with (
        observing() as search,
        door() as receiver,
        peer(said(b"{}", status="500 -")) as place,
        aiohttp.ClientSession(middlewares=[middleware]) as session,
        at(place, session=session, receiver=receiver) as client,
    ):
        search.tokens(receiver, "music")
        # An interrupt in one of our own tasks would end the loop, as asyncio has it.
        for verb in polls("music")[1 : 2 if kind == "interrupt" else None]:
            with pytest.raises((OwnError, KeyboardInterrupt)) as caught:
                await verb(client)
            search.error(kind, caught.value)
            assert any("test_canary.py" in note for note in caught.value.__notes__)


async def test_a_group_of_errors_in_a_borrowed_session_is_told_of_in_our_words(
    observing: Observing,
) -> None:
    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        raise ExceptionGroup("mine", [raised(response.raise_for_status)])

    async with (
        observing() as search,
        peer(said(b"{}", status="500 -")) as place,
        aiohttp.ClientSession(middlewares=[middleware]) as session,
        at(place, session=session) as client,
    ):
        found = await tried(search, client)

    assert {type(error) for error in found} == {TransportError}


# --- what is public ---------------------------------------------------------------------------


def word(code: int, data: object = None, *, status: int = 200) -> Reply:
    """Answer with the key in the words."""
    body = {"code": code, "msg": f"it already exists, says {API_KEY}", "data": data}
    return Reply(status=status, body=json.dumps(body).encode())


FAILED_COVER = {"taskId": "cover", "successFlag": 3, "errorMessage": f"no cover for {API_KEY}"}
NO_IMAGES = {"taskId": "cover", "successFlag": 1, "parentTaskId": API_KEY}
PAGE = Reply(
    status=403,
    body=f'{{"cloudflare_error":true,"error_code":1010,"detail":"{API_KEY}"}}'.encode(),
)
SAID: dict[type[SunoCoverError], tuple[Kind, Reply | Fault]] = {
    errors.TransportError: ("credits", Fault.LOST_ANSWER),
    errors.UnexpectedResponseError: ("credits", word(200, {API_KEY: API_KEY})),
    errors.AuthenticationError: ("credits", word(401)),
    errors.InsufficientCreditsError: ("credits", word(402)),
    errors.InvalidRequestError: ("submit", word(422)),
    errors.CoverExistsError: ("submit", word(409)),
    errors.NotFoundError: ("credits", word(404)),
    errors.RateLimitError: ("submit", word(429)),
    errors.MaintenanceError: ("credits", word(455)),
    errors.ServerError: ("credits", word(500)),
    errors.ClientBlockedError: ("credits", PAGE),
    errors.WrongAddressError: ("credits", Reply(status=404, body=f"no {API_KEY}".encode())),
    errors.MusicFailedError: ("music", word(200, {"taskId": "music", "status": "FAILED"})),
    errors.CoverFailedError: ("details", word(200, FAILED_COVER)),
    errors.ImagesMissingError: ("details", word(200, NO_IMAGES)),
    errors.CoverTimeoutError: ("details", word(200, None)),
    errors.CoverExpiredError: ("image", Reply(status=404)),
    errors.DownloadError: ("image", Reply(body=b"no image")),
}
ASK: dict[Kind, Callable[[SunoCoverClient, str, Path], Coroutine[Any, Any, object]]] = {
    "credits": lambda client, _, __: client.credits(),
    "submit": lambda client, _, __: client.submit("music"),
    "music": lambda client, _, __: client.wait_for_music("music", timeout=5),
    "details": lambda client, _, __: client.wait("cover", timeout=0.3),
    "image": lambda client, url, folder: client.download(details(f"{url}/s/1.png"), folder),
}


def as_verb(ask: Callable[[], Coroutine[Any, Any, object]]) -> Verb:
    return lambda _: ask()


async def test_every_error_there_is_holds_no_secret(observing: Observing, tmp_path: Path) -> None:
    found: list[object] = []
    async with (
        observing() as search,
        door() as receiver,
        Sandbox(FREE, api_key=API_KEY) as sandbox,
    ):
        search.tokens(receiver, "music")
        for kind, (asked, step) in SAID.items():
            sandbox.script(asked, *[step] * (4 if kind is errors.ImagesMissingError else 1))
            async with at(sandbox) as client:
                ask = partial(ASK[asked], client, sandbox.url, tmp_path)
                found += await tried(search, client, [as_verb(ask)])
        found += await tried(search, client)  # it is closed
        path = receiver.url("music")
        found.append(raised(partial(receiver.read, "GET", path, {}, b"")))
        (tmp_path / "not-a-ledger").write_text(API_KEY)
        found.append(raised(partial(read_now, tmp_path / "not-a-ledger")))
        for one in found:
            search.error("error", cast("BaseException", one))

    kinds = {one for one in vars(errors).values() if isinstance(one, type)} & {
        *SunoCoverError.__subclasses__(),
        *errors.APIError.__subclasses__(),
        *errors.UnexpectedResponseError.__subclasses__(),
    }
    assert {type(one) for one in found} == kinds - {errors.APIError}


async def test_nothing_public_shows_a_secret(observing: Observing, tmp_path: Path) -> None:
    async with observing() as search, door() as receiver:
        scenario = attrs.evolve(FREE, hmac_key=HMAC_KEY)
        async with Sandbox(scenario, api_key=API_KEY) as sandbox:
            [song] = sandbox.add_music()
            search.tokens(receiver, song)
            async with at(sandbox, receiver=receiver) as client:
                cover = await client.generate(song)
                task = await client.submit(song)
                async with Ledger(tmp_path / "covers.db") as ledger:
                    work = cover_catalog(client, [song], ledger=ledger, into=tmp_path)
                    async with work as outcomes:
                        shown: list[object] = [work, outcomes, outcomes.progress]
                        shown += [one async for one in outcomes]
                    shown += [ledger, *read_now(ledger)]
                answer = await receiver.receive("POST", receiver.url(song), {}, b"{}")
                callback = Callback(music_task_id=song, cover_task_id=cover.cover_task_id)
                shown += [client, client.breakers.api, cover, task, receiver, receiver.notifier]
                shown += [answer, callback, receiver.asgi, client.slot(), client.generate]
                shown += [RateLimiter(RateLimit(calls=1, seconds=1)), *package.HOSTS.values()]
                search.text("sandbox", f"{sandbox!r} {sandbox}")  # it is the API, and may know
                for one in shown:
                    search.value("public", one)

        for refused in (client, receiver):
            for act in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="not pickled"):
                    act(refused)


async def test_a_client_that_nobody_closed_is_complained_of_without_a_secret(
    observing: Observing,
) -> None:
    async with observing(debug=True) as search, Sandbox(FREE, api_key=API_KEY) as sandbox:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            client = at(sandbox)
            await client.credits()
            del client
            gc.collect()
        complaints = [str(warning.message) for warning in warned]
        search.text("complaints", repr(complaints))

        assert any("Unclosed client session" in complaint for complaint in complaints)


@pytest.mark.parametrize(
    "wrong",
    [{"base_url": "nowhere"}, {"rate_limit": 5}, {"concurrency": 0}, {"callback_url": "x"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_argument_of_a_client_leaves_no_key_in_a_frame(wrong: dict[str, Any]) -> None:
    search = Search(API_KEY)

    for key in (API_KEY, f"{API_KEY}\n"):
        search.error("wrong", raised(partial(SunoCoverClient, key, **wrong)))

    assert search.searched
    assert not search.hits


# --- the command line -------------------------------------------------------------------------

DEVELOPER = (sys.executable, "-X", "dev", "-m", "suno_cover_async")


async def commanded(
    search: Search,
    *arguments: str,
    crash: Awaitable[object] | None = None,
) -> Ended:
    """Run a command to its end, or to a crash when that is awaited; look at all it shows."""
    process = await start(*arguments, program=DEVELOPER, env=environment())

    async def watch() -> None:
        while process.returncode is None:
            search.command_lines(process.pid)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        if crash is not None:
            await crash
            process.send_signal(signal.SIGABRT)  # the developer's mode then shows all stacks
        ended = await finish(process)
    search.text(f"output of {arguments[0]}", ended.out)
    search.text(f"errors of {arguments[0]}", ended.err)
    return ended


@needs_posix
async def test_a_catalog_that_crashes_and_goes_on_leaves_no_secret_anywhere(
    run: Run, tmp_path: Path
) -> None:
    search = Search(API_KEY, SECRET, HMAC_KEY)
    stuck = Scenario(seconds=0.01, image_size=16, slow=1.0, slow_seconds=60, faults_on={"details"})
    async with Sandbox(stuck, api_key=API_KEY) as sandbox:
        titles = ["=cmd()", "\x1b[31mred", "<b>", "\u202etxt", "{} %s", "to be refused"]
        songs = sandbox.add_music(len(titles))
        rows = [f'{song},"{title}"' for song, title in zip(songs, titles, strict=True)]
        catalog = tmp_path / "catalog.csv"
        catalog.write_text("\n".join(["music_task_id,title", *rows[:-1]]))
        batch = ("batch", "catalog.csv", "--base-url", sandbox.url, "--poll", "0.05", "-vv")
        crashed = await commanded(search, *batch, crash=has_billed(sandbox, 3))
        search.folder(tmp_path)
        sandbox.scenario = FREE
        catalog.write_text("\n".join(["music_task_id,title", *rows]))
        sandbox.script("submit", word(422))
        sandbox.script("details", word(200, {**FAILED_COVER, "taskId": API_KEY}))
        sandbox.script("image", Reply(status=302, headers={"Location": f"{sandbox.url}/s/x"}))
        again = await commanded(search, *batch)
        shown = await run("ledger", "show", "covers.db")
        for kind in ("csv", "jsonl"):
            export = ("ledger", "export", "covers.db", "--format", kind)
            assert (await run(*export, "--out", f"export.{kind}")).code == ExitCode.DONE
    contact_sheet([("all", sorted(tmp_path.rglob("*.png")))], tmp_path / "sheet.png")

    search.text("ledger show", shown.out + shown.err)
    search.folder(tmp_path)
    assert "Fatal Python error: Aborted" in crashed.err
    assert again.code == ExitCode.FAILED
    assert "[key]" in shown.out + shown.err + (tmp_path / "export.csv").read_text()
    assert len(list(tmp_path.rglob("*.png"))) > 2
    assert not search.hits


@needs_posix
async def test_no_command_shows_a_secret(tmp_path: Path) -> None:
    search = Search(API_KEY, SECRET, HMAC_KEY)
    scenario = attrs.evolve(FREE, seconds=0.02, hmac_key=HMAC_KEY)
    async with Sandbox(scenario, api_key=API_KEY) as sandbox:
        songs, port = sandbox.add_music(2), a_free_port()
        place = ("--base-url", sandbox.url, "-vv")
        url = f"http://127.0.0.1:{port}/suno"
        minted = CallbackReceiver(public_url=url, secret=SECRET)
        search.tokens(minted, *songs)
        sandbox.script("credits", word(401), Reply(body=f"<{API_KEY}>".encode()))
        door = ("--listen", f"127.0.0.1:{port}", "--public-url", url)
        out = ("--out", str(tmp_path / "art"), "--json")
        ended = await asyncio.gather(
            commanded(search, "generate", *songs, *place, *door, *out),
            commanded(search, "credits", *place),
        )
        called = list(sandbox.journal.callbacks)

    assert [one.code for one in ended] == [ExitCode.DONE, ExitCode.KEY]
    assert {delivery.status for delivery in called} == {200}
    assert not search.hits


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (f"{API_KEY}\t", "credits"),
        (f"{API_KEY}\n\n", "credits --key-file key"),
        (f"{API_KEY}\udcff", "details cover --key-file key"),
        (API_KEY, "details cover --timeout 5 --base-url ftp://x --key-file key"),
        (API_KEY, "generate song --listen 127.0.0.1:1 --public-url nowhere"),
    ],
    ids=lambda text: text if API_KEY not in text else "odd",
)
def test_a_wrong_command_leaves_no_secret_in_a_frame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, odd: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_bytes(odd.encode(errors="surrogateescape"))
    own = {"SUNO_API_KEY": odd, "SUNO_CALLBACK_SECRET": SECRET, "SUNO_CALLBACK_HMAC_KEY": HMAC_KEY}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    search = Search(API_KEY, SECRET, HMAC_KEY)

    error = raised(lambda: commands.main(words.split(), "suno-cover", standalone_mode=False))
    search.error(words, error)

    assert isinstance(error, click.ClickException)
    assert not search.hits
