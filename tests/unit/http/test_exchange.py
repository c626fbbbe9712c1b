"""One request and its answer: whole or an error, and nothing of the key in either."""

import asyncio
import contextlib
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from suno_cover_async.errors import ClientUsageError, TransportError
from suno_cover_async.http.credentials import USER_AGENT, ApiKey
from suno_cover_async.http.exchange import MOST_BYTES, Exchange, SubmitBody
from suno_cover_async.network.connector import HEADER_LIMITS, Connector
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.sandbox import Fault, Sandbox
from tests.support.breakers import now
from tests.support.clients import FREE
from tests.support.memory_network import eventually, in_memory, network
from tests.support.peers import Peer, answer, peer, redirect, waits_for_the_end

KEY = "sk-Nightingale-9b27"
NOBODY = "http://127.0.0.1:9"


@asynccontextmanager
async def exchanging(
    url: str, *, owned: bool = True, key: str = KEY, **options: Any
) -> AsyncGenerator[tuple[Exchange, aiohttp.ClientSession]]:
    """Have an exchange with a host, through a session as the client makes it, or a borrowed one."""
    held = ApiKey(key)
    held.check()
    if owned:
        options |= {"headers": held.headers(), "connector": Connector(), **HEADER_LIMITS}
    async with aiohttp.ClientSession(**options) as session:
        yield Exchange(session, url, held, seconds=30, owned=owned), session


async def sent(
    host: Peer, target: str = "/a", body: SubmitBody | None = None, **options: Any
) -> Any:
    async with exchanging(host.url, **options) as (exchange, _):
        return await exchange.send(target, body)


def assert_bare(error: BaseException) -> None:
    """The error leads to no frame and no exception that may hold the key."""
    assert KEY not in "".join(traceback.format_exception(error))
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


@pytest.mark.parametrize("owned", [True, False], ids=["own", "borrowed"])
@in_memory
async def test_a_get_has_the_key_and_the_target_as_it_is(owned: bool) -> None:
    async with peer(answer(b'{"code":200}')) as host:
        got = await sent(host, "/a?taskId=a%2Fb%20c", owned=owned)

        assert got == Answer(status=200, text='{"code":200}')
        (request,) = host.received
        assert request.startswith(b"GET /a?taskId=a%2Fb%20c HTTP/1.1\r\n")
        assert request.count(f"Authorization: Bearer {KEY}\r\n".encode()) == 1
        assert request.count(f"User-Agent: {USER_AGENT}\r\n".encode()) == 1
        assert request.count(b"Cache-Control: no-cache\r\n") == 1


@in_memory
async def test_a_submit_is_a_post_of_json_and_is_known_to_be_sent() -> None:
    body = SubmitBody(b'{"taskId":"song"}')
    async with peer(answer(b"{}")) as host:
        await sent(host, "/submit", body)

        (request,) = host.received
    assert request.startswith(b"POST /submit HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in request
    assert request.endswith(b'\r\n\r\n{"taskId":"song"}')
    assert body.sent
    assert not body.withdraw()


@in_memory
async def test_what_the_body_of_a_submit_hides_is_in_no_answer_to_it() -> None:
    body = SubmitBody(b"{}", hide=lambda text: text.replace("token", "[hidden]"))
    async with peer(answer(b'"a token"')) as host:
        assert await sent(host, "/submit", body) == Answer(status=200, text='"a [hidden]"')
        assert await sent(host, "/submit", SubmitBody(b"{}")) == Answer(200, '"a token"')


@in_memory
async def test_a_submit_that_was_withdrawn_is_never_sent() -> None:
    body = SubmitBody(b'{"taskId":"song"}')
    assert body.withdraw()
    async with peer(answer(b"{}")) as host, exchanging(host.url) as (exchange, _):
        sending = asyncio.create_task(exchange.send("/submit", body))
        await asyncio.sleep(1)
        sending.cancel()
        await sending

        assert not body.sent
        assert all(b"song" not in request for request in host.received)


@in_memory
async def test_a_submit_that_must_not_be_sent_at_the_last_moment_is_not_sent_and_may_be_again() -> (
    None
):
    body = SubmitBody(b'{"taskId":"song"}', lambda: "not now")
    async with peer(answer(b"{}")) as host:
        error = await sent(host, "/submit", body)

        assert isinstance(error, ClientUsageError)
        assert (str(error), error.retryable) == ("not now", True)
        assert not body.sent
        assert all(b"song" not in request for request in host.received)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (answer(b"\xef\xbb\xbf{}"), Answer(200, "{}")),
        (answer(b"\xff{}"), Answer(200, "\ufffd{}")),
        (answer(b"no such key: " + KEY.encode()), Answer(200, "no such key: [key]")),
        (answer(b"", "Retry-After: 7", status="429 -"), Answer(429, "", retry_after=7.0)),
        (answer(b"", "Retry-After: soon", status="503 -"), Answer(503, "")),
        (answer(b"", "cf-mitigated: challenge", status="403 -"), Answer(403, "", challenged=True)),
        (redirect(302, "https://other.example"), Answer(302, "")),
    ],
    ids=[
        "a byte order mark",
        "no UTF-8",
        "the key",
        "a time to wait",
        "no time",
        "a challenge",
        "a redirect",
    ],
)
@in_memory
async def test_an_answer_of_any_status_is_returned_and_read(raw: bytes, expected: Answer) -> None:
    async with peer(raw) as host:
        assert await sent(host) == expected
        assert len(host.received) == 1


@in_memory
async def test_a_date_to_wait_for_is_counted_from_the_answers_own_date() -> None:
    dates = (
        "Retry-After: Fri, 01 May 2026 12:00:30 GMT",
        "Date: Fri, 01 May 2026 12:00:10 GMT",
    )
    async with peer(answer(b"", *dates, status="429 -")) as host:
        assert (await sent(host)).retry_after == 20.0


@in_memory
async def test_a_borrowed_session_raises_for_no_status_whatever_it_was_made_with() -> None:
    async with peer(answer(b"no", status="500 -")) as host:
        assert await sent(host, owned=False, raise_for_status=True) == Answer(500, "no")


@pytest.mark.parametrize("header", [[], [f"Content-Length: {10**12}"]], ids=["endless", "long"])
@in_memory
async def test_a_body_that_is_too_long_is_cut(header: list[str]) -> None:
    async def pours(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _number in range(64):
            writer.write(b" " * 65_536)
            await writer.drain()

    raw = "\r\n".join(["HTTP/1.1 200 OK", *header, "", ""]).encode()
    async with peer(raw) as host:
        host.tail = pours

        assert len((await sent(host)).text) == MOST_BYTES


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "ServerDisconnectedError"),
        (b"\x00 no HTTP\r\n\r\n", "it came with headers over 64 KiB, or not in HTTP"),
        (answer(b"{}", length=100), "ClientPayloadError"),
        (answer(b"\x1f\x8bnot gzip", "Content-Encoding: gzip"), "ClientPayloadError"),
    ],
    ids=["nothing", "no HTTP", "cut off", "not compressed"],
)
@pytest.mark.parametrize("owned", [True, False], ids=["own", "borrowed"])
@in_memory
async def test_a_broken_answer_is_an_error_without_a_word_of_aiohttps(
    raw: bytes, words: str, owned: bool
) -> None:
    async with peer(raw) as host:
        error = await sent(host, owned=owned)

        assert isinstance(error, TransportError)
        assert str(error) == f"no answer from {host.url}: {words}"
        assert error.retryable
        assert error.__context__ is None


LARGE = [f"X-{number:04}: {'a' * 190}" for number in range(400)]


@pytest.mark.parametrize("fields", [LARGE, ["X-Large: " + "a" * 80_000]], ids=["many", "one"])
@in_memory
async def test_headers_over_64_kib_are_an_error_that_says_so(fields: list[str]) -> None:
    async with peer(answer(b"{}", *fields)) as host:
        error = await sent(host, owned=True)

    assert isinstance(error, TransportError)
    assert "headers over 64 KiB" in str(error)


@in_memory
async def test_a_host_that_is_not_there_is_an_error_with_the_systems_words() -> None:
    async with exchanging(NOBODY) as (exchange, _):
        body = SubmitBody(b"{}")

        error = await exchange.send("/a", body)

    assert isinstance(error, TransportError)
    assert_bare(error)
    assert "Connection refused" in str(error)
    assert not body.sent


@in_memory
async def test_a_host_that_says_nothing_is_left_in_time_and_the_caller_goes_on() -> None:
    async with peer(b"") as host:
        host.tail = waits_for_the_end

        error = await sent(host)

        assert isinstance(error, TransportError)
        assert str(error).endswith(": nothing for 30 s")
        assert now() == 30
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


@pytest.mark.parametrize("moment", [0, 15, 30])  # of the 30 s that an exchange may take
@in_memory
async def test_a_cancellation_is_returned_even_in_the_moment_when_the_time_is_up(
    moment: float,
) -> None:
    async with peer(b"") as host, exchanging(host.url) as (exchange, _):
        host.tail = waits_for_the_end
        sending = asyncio.create_task(exchange.send("/a", None))
        await asyncio.sleep(0)  # so that its own time is counted from now as well
        asyncio.get_running_loop().call_at(moment, sending.cancel)

        error = await sending

    assert isinstance(error, asyncio.CancelledError)
    assert now() == moment
    assert sending.cancelling() == 1


@in_memory
async def test_what_a_cancelled_task_sends_is_left_in_time_as_any_other() -> None:
    async with peer(b"") as host, exchanging(host.url) as (exchange, _):
        host.tail = waits_for_the_end

        async def goes_on() -> object:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(99)
            return await exchange.send("/a", None)

        sending = asyncio.create_task(goes_on())
        await asyncio.sleep(1)
        sending.cancel()

        error = await sending

    assert isinstance(error, TransportError)
    assert str(error).endswith(": nothing for 30 s")
    assert now() == 1 + 30
    assert sending.cancelling() == 1


@in_memory
async def test_a_get_dropped_on_a_kept_connection_is_not_repeated_unseen() -> None:
    async with Sandbox(FREE) as sandbox, exchanging(sandbox.url) as (exchange, _):
        target = "/api/v1/generate/credit"
        await exchange.send(target, None)
        sandbox.script("credits", Fault.LOST_ANSWER)

        assert isinstance(await exchange.send(target, None), TransportError)
        assert len(sandbox.journal.arrivals) == 2


@in_memory
async def test_a_cancellation_is_returned_without_what_it_interrupted() -> None:
    async with peer(b"") as host, exchanging(host.url) as (exchange, _):
        host.tail = waits_for_the_end
        sending = asyncio.create_task(exchange.send("/a", None))
        await eventually(lambda: host.received)
        sending.cancel("by a test")

        error = await sending

    assert isinstance(error, asyncio.CancelledError)
    assert error.args == ("by a test",)
    assert_bare(error)


class Interrupt(BaseException):
    """What ends a program."""


@in_memory
async def test_an_interrupt_is_returned_bare_and_says_where_it_was_raised() -> None:
    async def interrupts(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        await handler(request)
        raise Interrupt from KeyError(request.headers["Authorization"])

    async with peer(answer(b"{}")) as host:
        error = await sent(host, owned=False, middlewares=(interrupts,))

    assert isinstance(error, Interrupt)
    assert_bare(error)
    assert __file__ in error.__notes__[0]
    assert "hold the API key" in error.__notes__[0]


@in_memory
async def test_a_closed_session_is_named_and_says_what_to_pass() -> None:
    async with exchanging(NOBODY, owned=False) as (exchange, session):
        await session.close()

        error = await exchange.send("/a", SubmitBody(b"{}"))

    assert isinstance(error, ClientUsageError)
    assert "pass the client an open session" in str(error)


@in_memory
async def test_a_session_closed_after_a_submit_was_sent_leaves_it_without_an_answer() -> None:
    async with peer(b"") as host, exchanging(host.url) as (exchange, session):
        host.tail = waits_for_the_end
        sending = asyncio.create_task(exchange.send("/a", SubmitBody(b"{}")))
        await eventually(lambda: host.received)
        await session.close()

        assert isinstance(await sending, TransportError)


@pytest.mark.parametrize("cancelled", [False, True])
@in_memory
async def test_closing_while_a_name_is_resolved_is_no_cancellation_unless_there_was_one(
    cancelled: bool,
) -> None:
    network().lookup_seconds = 10
    async with exchanging("http://localhost:9") as (exchange, session):
        sending = asyncio.create_task(exchange.send("/a", None))
        await asyncio.sleep(1)
        if cancelled:
            sending.cancel()
        await session.close()

        error = await sending

    assert type(error) is (asyncio.CancelledError if cancelled else ClientUsageError)


@in_memory
async def test_a_session_with_a_password_of_its_own_is_refused_and_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    async with peer(answer(b"{}")) as host:
        error = await sent(host, owned=False, trust_env=True)

        assert isinstance(error, ClientUsageError)
        assert "pass a session without them" in str(error)
        assert "secret" not in str(error)
        assert host.received == []


@in_memory
async def test_after_an_answer_to_another_request_no_open_connection_is_used_again() -> None:
    async with Sandbox(FREE) as sandbox, exchanging(sandbox.url) as (exchange, _):
        for distrusted in (False, False, True):
            if distrusted:
                exchange.distrust()
            await exchange.send("/api/v1/generate/credit", None)

        assert len(network().connected) == 2
