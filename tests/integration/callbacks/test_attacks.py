"""Attackers of a receiver behind real web servers."""

import asyncio
import contextlib
import gzip
import importlib.util
import socket
import time
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from suno_cover_async.callbacks.receiver import CallbackReceiver
from suno_cover_async.models import Callback, CoverTask
from suno_cover_async.sandbox import callback_sender
from tests.support.clients import listening
from tests.support.waiting import until
from tests.support.web_frameworks import (
    COVER,
    DOORS,
    KEY,
    LETTER,
    MUSIC,
    Caller,
    Door,
    application,
    ask,
    at,
    bare,
    calling,
    every_door,
    every_framework,
    head,
    httptools,
    is_accepted,
    listen,
    whole,
)

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

LARGEST = 65536

FORGED = "/suno/forged"


if importlib.util.find_spec("httptools"):
    DOORS.append(httptools)


def is_refused(answer: bytes) -> bool:
    said = answer.lower()
    return (
        said.startswith(b"http/1.1 400 ")
        and said.endswith(b'{"status": "refused"}')
        and b"\r\nconnection: close\r\n" in said
        and b"\r\ncontent-type: application/json" in said
    )


def signed() -> dict[str, str]:
    return callback_sender.signature(KEY, COVER, int(time.time()))


CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n"


def attacks(receiver: CallbackReceiver) -> dict[str, bytes]:
    """Write what is refused; bodies that are announced and not sent must not be waited for."""
    zipped = gzip.compress(LETTER)
    large = LETTER + b" " * LARGEST
    return {
        "forged": whole(receiver, path=FORGED),
        "forged, and the body dawdles": head(receiver, "Content-Length: 100", path=FORGED),
        "forged, and a chunk dawdles": head(receiver, "Transfer-Encoding: chunked", path=FORGED),
        "GET": head(receiver, method="GET"),
        "PUT": whole(receiver, method="PUT"),
        "DELETE, and the body dawdles": head(receiver, "Content-Length: 9", method="DELETE"),
        "a form, and the body dawdles": head(
            receiver, "Content-Type: text/plain", "Content-Length: 9"
        ),
        "announced as too large": head(receiver, f"Content-Length: {LARGEST + 1}"),
        "too large": whole(receiver, body=large),
        "too large, in one chunk": head(receiver, "Transfer-Encoding: chunked")
        + CHUNKED % (len(large), large),
        "too large, without an end": head(receiver, "Transfer-Encoding: chunked")
        + b"4000\r\n%s\r\n" % (b" " * 0x4000) * 5,
        "gzip": whole(receiver, "Content-Encoding: gzip", body=zipped),
        "gzip, and the body dawdles": head(
            receiver, "Content-Encoding: gzip", "Content-Length: 99"
        ),
        "a non-ASCII type": whole(receiver, "Content-Type: application/j\u00e9son"),
        "a non-ASCII encoding": whole(receiver, "Content-Encoding: \u00ff\u00fe"),
        "two signatures": whole(receiver, *["X-Webhook-Signature: x"] * 2),
        "not JSON": whole(receiver, body=b"\xff\x00"),
        "deep": whole(receiver, body=b"[" * LARGEST),
        "no body": head(receiver, "Content-Length: 0"),
        "another cover": whole(receiver, body=LETTER.replace(COVER.encode(), b"another")),
    }


def attacks_on_signatures(receiver: CallbackReceiver) -> dict[str, bytes]:
    timestamp, signature = (f"{name}: {value}" for name, value in signed().items())
    return {
        "unsigned, and the body dawdles": head(receiver, "Content-Length: 100"),
        "a non-ASCII signature": whole(
            receiver, timestamp, "X-Webhook-Signature: " + "\u00e9" * 44
        ),
        "two signatures": whole(receiver, timestamp, signature, signature),
        "swapped body": whole(
            receiver, timestamp, signature, body=LETTER.replace(COVER.encode(), b"another")
        ),
    }


@every_framework
async def test_every_refusal_is_the_same_to_the_byte_and_comes_at_once(
    door: Door, sock: socket.socket
) -> None:
    called: list[Callback] = []
    receiver = at(sock, on_callback=called.append)
    known = CoverTask(cover_task_id=COVER, music_task_id=MUSIC)
    answers: dict[str, bytes] = {}
    with listening(receiver.notifier, known) as subscription:
        async with door(receiver, sock):
            for name, request in attacks(receiver).items():
                async with asyncio.timeout(100):
                    answers[name] = await ask(receiver, request)
        notified = await subscription.wait(asyncio.get_running_loop().time())

    assert is_refused(answers["forged"])
    assert {name for name, one in answers.items() if one != answers["forged"]} == set()
    assert not notified
    assert not called
    assert receiver.notifier.named(MUSIC) == ()


@every_door
async def test_every_refusal_of_a_signature_is_the_same_too(
    door: Door, sock: socket.socket
) -> None:
    receiver = at(sock, hmac_key=KEY)
    async with door(receiver, sock), asyncio.timeout(100):
        forged = await ask(receiver, whole(receiver, path=FORGED))
        answers = {
            name: await ask(receiver, request)
            for name, request in attacks_on_signatures(receiver).items()
        }
        fields = (f"{name}: {value}" for name, value in signed().items())
        accepted = await ask(receiver, whole(receiver, *fields))

    assert is_refused(forged)
    assert {name for name, one in answers.items() if one != forged} == set()
    assert is_accepted(accepted)


@every_door
async def test_a_refused_connection_is_closed_at_once(door: Door, sock: socket.socket) -> None:
    receiver = at(sock)
    rest: list[bytes] = []
    async with door(receiver, sock), asyncio.timeout(100):
        for announced in ("Content-Length: 0", "Content-Length: 100", "Transfer-Encoding: chunked"):
            async with calling(receiver) as caller:
                await caller.ask(head(receiver, announced, path=FORGED))
                rest.append(await caller.reader.read())

    assert rest == [b"", b"", b""]


@every_door
async def test_a_caller_who_leaves_in_the_middle_leaves_nothing_behind(
    door: Door, sock: socket.socket
) -> None:
    called: list[Callback] = []
    receiver = at(sock, on_callback=called.append)
    request = whole(receiver)
    async with door(receiver, sock):
        for cut in (len(request) - 1, len(request) - len(LETTER), 60):
            async with calling(receiver) as caller:
                caller.writer.write(request[:cut])
        async with calling(receiver) as caller:
            caller.writer.write(request[:-1])
            caller.writer.transport.abort()
        async with calling(receiver) as caller:
            caller.writer.write(head(receiver, "Transfer-Encoding: chunked"))
            caller.writer.write(b"%x\r\n%s\r\n" % (len(LETTER), LETTER))
        await ask(receiver, whole(receiver, path=FORGED))  # those who left are behind it
        claims = receiver.notifier.named(MUSIC)
        answer = await ask(receiver, request)

    assert claims == ()
    assert is_accepted(answer)
    await until(lambda: called)
    assert len(called) == 1


@asynccontextmanager
async def besieged(receiver: CallbackReceiver, count: int) -> AsyncGenerator[list[Caller], None]:
    """Keep connections that sent a good head and the first byte of the body."""
    async with contextlib.AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(calling(receiver)) for _ in range(count)]
        for caller in callers:
            caller.writer.write(whole(receiver)[: 1 - len(LETTER)])
        yield callers


@every_door
async def test_a_valid_callback_is_answered_among_200_slow_connections(
    door: Door, sock: socket.socket
) -> None:
    receiver = at(sock)
    async with door(receiver, sock), besieged(receiver, 200):
        answer = await ask(receiver, whole(receiver))

    assert is_accepted(answer)


async def dawdle(caller: Caller) -> tuple[bytes, float]:
    """Send one byte a second until there is an answer; how long that took."""
    began = time.monotonic()
    answer = asyncio.create_task(caller.answer())
    for byte in LETTER[1:]:
        await asyncio.wait([answer], timeout=1)
        if answer.done():
            break
        caller.writer.write(bytes([byte]))
    return await answer, time.monotonic() - began


async def slow_bodies(door: Door) -> list[tuple[bytes, float]]:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as sock:
        receiver = at(sock)
        async with door(receiver, sock), besieged(receiver, 200) as callers:
            return await asyncio.gather(*map(dawdle, callers))


async def slow_head(receiver: CallbackReceiver) -> float:
    async with calling(receiver) as caller:
        caller.writer.write(whole(receiver)[:60])
        began = time.monotonic()
        assert await caller.reader.read() == b""
        return time.monotonic() - began


async def test_slow_requests_are_ended_after_5_seconds(sock: socket.socket) -> None:
    receiver = at(sock)
    async with listen(receiver, sock), asyncio.timeout(100):
        took, *doors = await asyncio.gather(
            slow_head(receiver), slow_bodies(bare), slow_bodies(application)
        )

    assert 4.5 < took < 60
    for outcomes in doors:
        assert len(outcomes) == 200
        assert all(is_refused(answer) and 4.5 < took < 60 for answer, took in outcomes)


@every_door
async def test_a_decompression_bomb_is_refused_and_delays_no_other_callback(
    door: Door, sock: socket.socket
) -> None:
    packer = zlib.compressobj()
    start = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = start + block * 58  # of at most 64 KiB, which would be 59 MiB
    receiver = at(sock)
    async with door(receiver, sock), asyncio.timeout(100), calling(receiver) as caller:
        refused = await caller.ask(
            head(receiver, "Content-Encoding: deflate", f"Content-Length: {len(bomb)}") + bomb
        )
        accepted = await ask(receiver, whole(receiver))

    assert len(bomb) <= LARGEST
    assert is_refused(refused)
    assert is_accepted(accepted)
