"""The server of the page: where it listens, what it logs, and what it leaves behind."""

import asyncio
import contextlib
import logging
import socket
from pathlib import Path
from typing import TypeAlias

import pytest

from suno_cover_async import LedgerError
from suno_cover_async.review.server import MOST_CONNECTIONS
from tests.support.commands import a_free_port
from tests.support.review_pages import a_ledger, entered, serving

Stream: TypeAlias = "tuple[asyncio.StreamReader, asyncio.StreamWriter]"


async def test_each_person_has_a_url_of_this_address_and_port(tmp_path: Path) -> None:
    port = a_free_port()
    async with serving(await a_ledger(tmp_path), port=port) as page:
        assert list(page.urls) == ["Ann", "Ben"]
        tokens = {
            url.removeprefix(f"http://127.0.0.1:{port}/?token=") for url in page.urls.values()
        }

        assert {len(token) for token in tokens} == {43}
        assert len(tokens) == 2


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6")
async def test_an_ipv6_address_is_a_host_in_brackets(tmp_path: Path) -> None:
    async with serving(await a_ledger(tmp_path), host="::1") as page:
        assert page.urls["Ann"].startswith(f"http://[::1]:{page.port}/?token=")


async def test_a_port_that_is_taken_is_an_error_before_the_ledger_is_opened(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with serving(tmp_path / "no.db", port=taken.getsockname()[1]):
            pass


async def test_what_is_no_ledger_is_an_error_and_leaves_the_port_free(tmp_path: Path) -> None:
    port = a_free_port()
    with pytest.raises(LedgerError, match="there is no ledger"):
        async with serving(tmp_path / "no.db", port=port):
            pass
    async with serving(await a_ledger(tmp_path), port=port) as page:
        assert page.port == port


async def test_no_log_shows_a_token_a_cookie_or_a_body(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(await a_ledger(tmp_path)) as page:
        token = page.urls["Ann"].partition("token=")[2]
        await page.raw(f"GET /?token={token} NONSENSE\r\n\r\n".encode())
        await page.raw(f"GET /?token={token} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".encode())
        await page.raw(f"GET /?token={token}{'x' * 9000} HTTP/1.1\r\n\r\n".encode())
        await page.get(f"?token={token}x")
        await page.enter()
        session = (page.session or "").partition("=")[2]
        await page.choose(1, "image", 1, 0)
        await page.send("PUT", "api/pairs/1/choice", b'{"body-of-a-request"')
        await page.get("api/nothing")

    written = caplog.text + "".join(capfd.readouterr())
    assert session
    for secret in (token, session, "body-of-a-request"):
        assert secret not in written


async def test_leaving_ends_open_connections_and_leaves_no_task(tmp_path: Path) -> None:
    async with entered(await a_ledger(tmp_path)) as page:
        await page.get("images/1/1?size=64")
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
        writer.write(b"PUT /api/pairs/1/choice HTTP/1.1\r\nHost: ")
        await writer.drain()
    assert await reader.read() == b""
    writer.close()
    for _ in range(10):
        await asyncio.sleep(0)

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_more_than_100_connections_are_closed_at_once_and_the_others_are_answered(
    tmp_path: Path,
) -> None:
    async with entered(await a_ledger(tmp_path)) as page, contextlib.AsyncExitStack() as stack:
        request = (
            f"GET /api/summary HTTP/1.1\r\nHost: {page.host}\r\nCookie: {page.session}\r\n\r\n"
        ).encode()

        async def connected() -> Stream:
            return await stack.enter_async_context(page.connection())

        held = [await connected() for _ in range(MOST_CONNECTIONS)]
        within = [await begin_of_answer(stream, request) for stream in held]
        beyond = await begin_of_answer(await connected(), request)
        held[0][1].close()
        later = b""
        while not later:  # once the server knows that one is closed
            later = await begin_of_answer(await connected(), request)

    assert within == [b"HTTP/1.1 200"] * MOST_CONNECTIONS
    assert (beyond, later) == (b"", b"HTTP/1.1 200")


async def begin_of_answer(stream: Stream, request: bytes) -> bytes:
    reader, writer = stream
    try:
        writer.write(request)
        return await reader.readexactly(12)
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""


async def test_while_it_ends_no_further_connection_is_accepted(tmp_path: Path) -> None:
    """Such a connection would be served without a ledger, for as long as the process lives."""
    async with contextlib.AsyncExitStack() as stack:
        page = await stack.enter_async_context(entered(await a_ledger(tmp_path)))
        _, choosing = await asyncio.open_connection("127.0.0.1", page.port)
        choosing.write(page.head_of_a_choice(1, 100))  # its body never comes
        await choosing.drain()
        await page.get("api/summary")
        ending = asyncio.create_task(stack.pop_all().aclose())
        while not ending.done():
            try:
                _, other = await asyncio.open_connection("127.0.0.1", page.port)
            except ConnectionResetError:
                continue  # it was not accepted yet
            except ConnectionRefusedError:
                break
            other.close()
        refused_before_the_end = not ending.done()
        choosing.close()
        await ending

    assert refused_before_the_end
