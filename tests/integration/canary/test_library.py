"""The key, the secrets and the tokens stay where they belong, whatever happens.

Where they belong, and how far the search for them goes, is said in `canary.py`. All loggers are at
DEBUG; where the loop's debug mode may tell more, it is on, and tells of every callback.
"""

import asyncio
import contextlib
import itertools
import json
import zlib
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiohttp
import attrs
import pytest
from yarl import URL

from suno_cover_async import (
    CoverTask,
    Ledger,
    RetryPolicy,
    SunoCoverError,
    TrackState,
    TransportError,
)
from suno_cover_async.sandbox import Fault, Kind, Reply, Sandbox, Scenario
from tests.support.canary import (
    API_KEY,
    HMAC_KEY,
    forms,
)
from tests.support.canary_calls import (
    FREE,
    OWN_CALLBACK_URL,
    OWN_TOKENS,
    Observing,
    at,
    details,
    door,
    polls,
    raised,
    repeating,
    tried,
)
from tests.support.clients import FAST_POLL
from tests.support.commands import a_free_port
from tests.support.peers import answer as said
from tests.support.peers import peer, waits_for_the_end
from tests.support.runs import covered, read_now
from tests.support.waiting import thrown, until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


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


async def test_nothing_that_a_receiver_is_sent_is_quoted(observing: Observing) -> None:
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
        songs = (f"song-{number}" for number in itertools.count())  # none that is possibly billed
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


@pytest.mark.parametrize("form", forms(OWN_CALLBACK_URL))
async def test_a_callback_url_that_the_api_sends_back_is_in_no_error_log_or_ledger(
    observing: Observing, tmp_path: Path, form: str
) -> None:
    codes = (400, 429, 455, 500)
    async with (
        observing() as search,
        Sandbox(FREE, api_key=API_KEY) as sandbox,
        Ledger(tmp_path / "covers.db") as ledger,
        at(sandbox, callback_url=OWN_CALLBACK_URL) as client,
    ):
        search.also(*OWN_TOKENS)
        songs = sandbox.add_music(len(codes))
        sandbox.script("submit", *(repeating(OWN_CALLBACK_URL, form, code) for code in codes))
        for outcome in await covered(client, songs, ledger, wait_out_outages=False):
            search.value("outcome", outcome)
        search.folder(tmp_path)
        [failed] = read_now(ledger, TrackState.FAILED)

        assert "callBackUrl not reachable: " in (failed.reason or "")
        assert "[callback URL]" in (failed.reason or "")
        assert len(sandbox.journal.of("submit")) >= len(codes)


@pytest.mark.parametrize("form", forms(OWN_CALLBACK_URL))
async def test_an_accepted_submit_that_repeats_its_callback_url_loses_no_cover(
    observing: Observing, form: str
) -> None:
    accepted = repeating(OWN_CALLBACK_URL, form, 200)
    body = accepted.body.replace(b"null", b'{"taskId": "cover-1"}')
    async with (
        observing() as search,
        Sandbox(FREE, api_key=API_KEY) as sandbox,
        at(sandbox, callback_url=OWN_CALLBACK_URL) as client,
    ):
        search.also(*OWN_TOKENS)
        sandbox.script("submit", attrs.evolve(accepted, body=body))
        found = await tried(search, client, polls("song")[3:])

    assert found == [CoverTask(cover_task_id="cover-1", music_task_id="song")]


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
            assert any("test_library.py" in note for note in caught.value.__notes__)


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
