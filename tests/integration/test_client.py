"""The verbs, against the sandbox."""

import asyncio
import contextlib
import gc
import gzip
import itertools
import pickle
import socket
import subprocess
import sys
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

import suno_cover_async
from suno_cover_async import (
    APIBOX,
    KIE,
    SUNOAPI,
    ClientBlockedError,
    ClientUsageError,
    CoverDetails,
    CoverExpiredError,
    CoverStatus,
    CoverTask,
    CoverTimeoutError,
    Host,
    MaintenanceError,
    MusicFailedError,
    NotFoundError,
    PollPolicy,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
)
from suno_cover_async.protocol import codec
from suno_cover_async.resilience.circuit_breaker import Admission
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.clients import connect
from tests.support.virtual_time import run
from tests.support.waiting import thrown, until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

FREE = Scenario(rate_limit=None, polls=1)


# --- looking and waiting --------------------------------------------------------------------


async def test_watch_yields_every_change_of_status_up_to_the_last() -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=4)) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)

        seen = [details.status async for details in client.watch(task)]

        assert seen == [CoverStatus.PENDING, CoverStatus.GENERATING, CoverStatus.SUCCESS]


async def test_watch_yields_a_failure_and_does_not_raise_it() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1, fails=True)
        task = await client.submit(music)

        seen = [details async for details in client.watch(task)]

        assert seen[-1].status is CoverStatus.FAILED
        assert seen[-1].error_message


async def test_leaving_a_watch_early_ends_its_polls() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=60)) as sandbox,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)

        async with contextlib.aclosing(client.watch(task)) as changes:
            async for _ in changes:
                break
        polls = len(sandbox.journal.of("details"))
        await client.credits()

        assert len(sandbox.journal.of("details")) == polls


async def test_null_right_after_the_submit_is_pending() -> None:
    scenario = Scenario(rate_limit=None, polls=1, null_polls=3)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        music, other = sandbox.add_music(2)
        task = await client.submit(music)

        assert (await client.details(task.cover_task_id)).status is CoverStatus.PENDING
        assert (await client.wait(task)).status is CoverStatus.SUCCESS
        assert (await client.generate(other)).status is CoverStatus.SUCCESS


async def test_an_unknown_cover_task_is_not_found_at_once_by_a_poll_and_after_grace_by_a_wait() -> (
    None
):
    poll = PollPolicy(min_interval=0.01, max_interval=0.02, not_found_grace=0.05)
    async with Sandbox(FREE) as sandbox, connect(sandbox, poll=poll) as client:
        with pytest.raises(NotFoundError) as caught:
            await client.details("nobody")
        assert caught.value.cover_task_id == "nobody"
        with pytest.raises(NotFoundError):
            await client.wait("nobody")


async def test_a_wait_by_id_alone_polls_at_once_and_survives_another_day() -> None:
    async with Sandbox(FREE) as sandbox:
        (music,) = sandbox.add_music(1)
        async with connect(sandbox) as client:
            task = await client.submit(music)
        async with connect(sandbox, poll=PollPolicy()) as tomorrow:
            details = await tomorrow.wait(task.cover_task_id)

        assert details.music_task_id == music
        assert len(sandbox.journal.of("details")) == 1


async def test_a_timeout_names_what_to_wait_for_and_loses_nothing() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=0.3)) as sandbox,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)

        with pytest.raises(CoverTimeoutError) as caught:
            await client.generate(music, timeout=0.05)

        assert caught.value.cover_task_id is not None
        assert caught.value.music_task_id == music
        details = await client.wait(caught.value.cover_task_id)
        assert details.status is CoverStatus.SUCCESS


async def test_the_first_poll_comes_when_the_hosts_own_durations_say_so() -> None:
    poll = PollPolicy(min_interval=0.01, max_interval=0.01)
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=0.3)) as sandbox,
        connect(sandbox, poll=poll) as client,
    ):
        first, second = sandbox.add_music(2)
        task = await client.submit(first)
        await until_finished(client, task)
        before = len(sandbox.journal.of("details"))

        await client.generate(second)

        polls = sandbox.journal.of("details")[before:]
        assert len(polls) <= 3
        assert 0.25 <= polls[0].at - sandbox.journal.of("submit")[1].at < 5


async def until_finished(client: SunoCoverClient, task: CoverTask) -> None:
    while not (await client.details(task)).finished:
        pass


async def test_generate_keeps_at_most_concurrency_covers_in_flight() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, polls=3)) as sandbox,
        connect(sandbox, concurrency=4) as client,
    ):
        await asyncio.gather(*(client.generate(music) for music in sandbox.add_music(20)))

        in_flight, most = set[str](), 0
        for arrival in sandbox.journal.arrivals:
            task = arrival.cover_task_id or ""
            polls = [a for a in sandbox.journal.of("details") if a.cover_task_id == task]
            in_flight.add(task)
            most = max(most, len(in_flight))
            if arrival is polls[-1]:
                in_flight.discard(task)
        assert most <= 4


async def test_the_callback_url_is_handed_on() -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=1)) as sandbox:
        url = f"{sandbox.url}/somebody/elses?song=1"
        async with connect(sandbox, callback_url=url) as client:
            await client.generate(*sandbox.add_music(1))
            await until(lambda: sandbox.journal.callbacks)

        assert sandbox.journal.callbacks[0].url == url


async def test_what_a_timed_out_generate_left_is_settled_by_a_wait() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=0.2)) as sandbox,
        connect(sandbox) as client,
    ):
        with pytest.raises(CoverTimeoutError) as caught:
            await client.generate(*sandbox.add_music(1), timeout=0.05)
        (left,) = client.unclaimed
        assert left.cover_task_id == caught.value.cover_task_id

        await client.wait(left)

        assert not client.unclaimed


# --- credits and music ----------------------------------------------------------------------


@pytest.mark.parametrize("host", [SUNOAPI, KIE, APIBOX], ids=lambda host: host.name)
async def test_credits_are_a_float_on_every_host(host: Host) -> None:
    scenario = Scenario(rate_limit=None, credits=1025.6)
    async with Sandbox(scenario) as sandbox, connect(sandbox, host=host) as client:
        assert await client.credits() == 1025.6
        assert sandbox.journal.arrivals[0].path == host.credits_path


async def test_music_is_waited_for_until_it_is_ready() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1, status="GENERATING")
        waiting = asyncio.create_task(client.wait_for_music(music))
        await until(lambda: len(sandbox.journal.of("music")) >= 3)

        sandbox.set_music(music, "SUCCESS")

        assert (await waiting).ready


async def test_failed_music_unknown_music_and_slow_music_are_told_apart() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (failed,) = sandbox.add_music(1, status="SENSITIVE_WORD_ERROR")
        (slow,) = sandbox.add_music(1, status="PENDING")

        with pytest.raises(MusicFailedError) as caught:
            await client.wait_for_music(failed)
        assert caught.value.details.status == "SENSITIVE_WORD_ERROR"
        with pytest.raises(NotFoundError):
            await client.wait_for_music("nobody")
        sandbox.scenario = Scenario(rate_limit=None, slow_seconds=5)
        sandbox.script("music", Fault.NONE, Fault.SLOW)
        async with asyncio.timeout(2):
            with pytest.raises(CoverTimeoutError) as late:
                await client.wait_for_music(slow, timeout=0.2)
        assert (late.value.music_task_id, late.value.cover_task_id) == (slow, None)


async def test_trouble_that_passes_does_not_end_a_wait_for_music() -> None:
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, retry=RetryPolicy(max_attempts=1)) as client,
    ):
        (music,) = sandbox.add_music(1)
        sandbox.script("music", Fault.LOST_ANSWER, Fault.GATEWAY)

        assert (await client.wait_for_music(music)).ready


# --- downloads ------------------------------------------------------------------------------


async def test_both_images_are_saved_under_the_songs_name(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)

        files = await client.download(details, into=tmp_path / "covers")
        named = await client.download(details, tmp_path, name="AC/DC: Live")

        assert [file.name for file in files] == [f"{music}-1.png", f"{music}-2.png"]
        assert all(file.read_bytes().startswith(b"\x89PNG") for file in (*files, *named))
        assert {file.parent for file in named} == {tmp_path}
        assert files[0].read_bytes() != files[1].read_bytes()
        assert sorted(tmp_path.rglob("*.part")) == []


async def test_both_images_are_fetched_at_once(tmp_path: Path) -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.1, 0.1))
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        await client.download(await client.generate(music), into=tmp_path)

        first, second = sandbox.journal.of("image")
        assert second.at - first.at < 0.1


async def test_the_key_never_goes_to_the_image_host(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "Cookie": "a=b"}
        async with (
            aiohttp.ClientSession(headers=headers) as borrowed,
            connect(sandbox, session=borrowed) as client,
        ):
            (music,) = sandbox.add_music(1)
            await client.download(await client.generate(music), into=tmp_path)

        images = sandbox.journal.of("image")
        assert len(images) == 2
        assert not any(image.key_sent for image in images)


async def test_an_image_that_stumbles_is_fetched_again(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        empty = Reply(body=b"", headers={"Content-Type": "image/png"})
        sandbox.script("image", Fault.RESET, Fault.TRUNCATED, empty)

        files = await client.download(details, into=tmp_path)

        assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


async def test_gone_images_are_asked_for_once_more_and_then_expired(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        polls = len(sandbox.journal.of("details"))
        sandbox.expire_images()

        with pytest.raises(CoverExpiredError) as caught:
            await client.download(details, into=tmp_path)

        assert caught.value.music_task_id == music
        assert len(sandbox.journal.of("details")) == polls + 1
        assert list(tmp_path.iterdir()) == []


async def test_images_that_moved_are_found_at_their_new_place(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        old = attrs.evolve(details, images=(f"{sandbox.url}/s/1_a.png", f"{sandbox.url}/s/1_b.png"))

        assert len(await client.download(old, into=tmp_path)) == 2


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"parentTaskId": "another-song"}, UnexpectedResponseError),
        ({"successFlag": 3}, CoverExpiredError),
        ({"successFlag": 2}, CoverExpiredError),
    ],
)
async def test_images_of_another_song_or_of_no_success_do_not_stand_in_for_ones_that_are_gone(
    tmp_path: Path, said: dict[str, object], error: type[SunoCoverError]
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        old = attrs.evolve(details, images=(f"{sandbox.url}/s/1_a.png",))
        record = {"taskId": details.cover_task_id, "parentTaskId": music, "successFlag": 1}
        record |= {"response": {"images": list(details.images)}} | said
        sandbox.script("details", Reply(body=codec.encode_answer(200, "success", record)))
        sandbox.script("image", Reply(status=404))

        with pytest.raises(error):
            await client.download(old, into=tmp_path)

        assert len(sandbox.journal.of("image")) == 1
        assert list(tmp_path.iterdir()) == []


async def test_details_without_images_are_refused(tmp_path: Path) -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=60)) as sandbox,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)

        with pytest.raises(ValueError, match="no images"):
            await client.download(await client.details(task), into=tmp_path)


# --- answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(body=b""), UnexpectedResponseError),
        (Reply(body=b"\xff\xfe\x00garbage"), UnexpectedResponseError),
        (Reply(body=b"[" * 100_000), UnexpectedResponseError),
        (Reply(body=b'{"code":200,"data":"much"}'), UnexpectedResponseError),
        (Reply(body=b'{"code":200,"data":' + b"9" * 5000 + b"}"), UnexpectedResponseError),
        (Reply(body=b'{"code":200,"data":' + b" " * 3_000_000 + b"1}"), UnexpectedResponseError),
        (Reply(status=403, body=b"error code: 1010"), ClientBlockedError),
        (Reply(body=b'{"code":455,"msg":"closed"}'), MaintenanceError),
        (Reply(status=204, body=b""), UnexpectedResponseError),
        (Reply(status=599, body=b"?"), SunoCoverError),
        (
            Reply(body=b"\x1f\x8bnot gzip", headers={"Content-Encoding": "gzip"}),
            TransportError,
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_any_answer_is_a_result_or_an_error_of_our_tree(
    reply: Reply, error: type[Exception]
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        sandbox.script("credits", *[reply] * 5)

        with pytest.raises(error):
            await client.credits()


async def test_a_get_is_tried_again_and_every_try_is_counted_by_the_limiter() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        await client.credits()
        sandbox.script("credits", Fault.RESET, Fault.LOST_ANSWER, Fault.PAGE)

        await client.credits()

        assert len(sandbox.journal.arrivals) == 5


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Fault.LOST_ANSWER, "ServerDisconnectedError"), (Fault.RESET, "ClientOSError")],
)
async def test_a_hidden_repetition_by_aiohttp_never_slips_past_the_limiter(
    fault: Fault, reason: str
) -> None:
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, retry=RetryPolicy(max_attempts=1)) as client,
    ):
        await client.credits()  # so that the next request goes over a kept connection
        sandbox.script("credits", fault)

        with pytest.raises(TransportError, match=reason):
            await client.credits()

        assert len(sandbox.journal.arrivals) == 2


def test_after_a_lost_answer_the_next_request_comes_two_windows_later() -> None:
    async def scenario() -> list[float]:
        clock = asyncio.get_running_loop().time
        one_in_10_s = RateLimit(calls=1, seconds=10)
        async with (
            Sandbox(FREE, clock=clock) as sandbox,
            connect(sandbox, rate_limit=one_in_10_s) as client,
        ):
            sandbox.script("credits", Fault.LOST_ANSWER)
            for _ in range(2):
                await client.credits()
            return [arrival.at for arrival in sandbox.journal.arrivals]

    assert run(scenario()) == pytest.approx([0, 20.1, 30.15], abs=0.01)


async def test_an_attempt_without_an_answer_ends_in_time_and_its_caller_goes_on() -> None:
    slow = Scenario(rate_limit=None, slow=1.0, slow_seconds=30)
    retry = RetryPolicy(max_attempts=1, attempt_timeout=0.05)
    async with Sandbox(slow) as sandbox, connect(sandbox, retry=retry) as client:
        with pytest.raises(TransportError, match=r"nothing for 0\.05 s"):
            await client.credits()

        this = asyncio.current_task()
        assert this is not None
        assert this.cancelling() == 0


async def test_nobody_listening_is_a_transport_error_without_a_word_of_aiohttp() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with SunoCoverClient(
            "key", base_url=url, retry=RetryPolicy(max_attempts=1)
        ) as client:
            with pytest.raises(TransportError, match=r"127\.0\.0\.1"):
                await client.submit("a-song")


async def test_a_byte_order_mark_before_the_answer_is_passed_over() -> None:
    marked = Reply(body=b'\xef\xbb\xbf{"code":200,"data":7}')
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        sandbox.script("credits", marked)

        assert await client.credits() == 7.0


async def test_a_borrowed_sessions_middleware_may_read_the_answer() -> None:
    async def reads(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        await response.read()
        return response

    async with (
        Sandbox(FREE) as sandbox,
        aiohttp.ClientSession(middlewares=(reads,)) as borrowed,
        connect(sandbox, session=borrowed) as client,
    ):
        assert await client.credits() == 1_000_000.0


@asynccontextmanager
async def answering(*parts: bytes) -> AsyncGenerator[tuple[SunoCoverClient, list[int]]]:
    """Have a client, tried once, of a server that sends these parts one by one, the last for ever.

    Yields also how many bytes of that were sent, as a list to be summed.
    """
    sent: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        with contextlib.suppress(ConnectionError):
            for part in itertools.chain(parts, itertools.repeat(parts[-1])):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
                sent.append(len(part))
                if not part:
                    break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with SunoCoverClient(
            "key", base_url=url, retry=RetryPolicy(max_attempts=1)
        ) as client:
            yield client, sent


def zeros() -> Iterator[bytes]:
    """Yield a gzip of zeros that has a beginning and no end."""
    packer = zlib.compressobj(wbits=31)
    while True:
        yield packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)


PACKED = tuple(itertools.islice(zeros(), 2))


@pytest.mark.parametrize(
    "parts",
    [
        (b"\r\n", b" " * 65_536),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65_536 + b"\r\n"),
        (b"Content-Length: 99999999999\r\n\r\n", b" " * 65_536),
        (b"Content-Encoding: gzip\r\n\r\n", *PACKED),
        (b"Content-Encoding: gzip\r\nContent-Length: 99999999999\r\n\r\n", *PACKED),
    ],
    ids=["until it closes", "chunked", "long", "compressed", "long and compressed"],
)
async def test_a_body_without_end_is_given_up(parts: tuple[bytes, ...]) -> None:
    tracemalloc.start()
    async with answering(*parts) as (client, sent):
        with pytest.raises(UnexpectedResponseError):
            await client.credits()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(sent) < 32 << 20
    assert peak < 32 << 20


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    head = b"Content-Length: 21\r\n\r\n"
    async with answering(head, b'{"code":200', b',"data":', b"7}", b"") as (client, _):
        assert await client.credits() == 7.0


async def test_what_comes_after_the_length_that_was_said_is_not_read() -> None:
    head = b"Content-Length: 21\r\n\r\n"
    async with answering(head, b'{"code":200,"data":7}', b"x" * 65_536) as (client, sent):
        assert await client.credits() == 7.0

    assert sum(sent) < 32 << 20


async def test_less_than_the_length_that_was_said_is_no_answer() -> None:
    head = b"Content-Length: 22\r\n\r\n"
    async with answering(head, b'{"code":200,"data":7}', b"") as (client, _):
        with pytest.raises(TransportError):
            await client.credits()


async def test_a_compressed_bomb_is_never_unpacked_whole() -> None:
    bomb = Reply(body=gzip.compress(bytes(256 << 20)), headers={"Content-Encoding": "gzip"})
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, retry=RetryPolicy(max_attempts=1)) as client,
    ):
        sandbox.script("credits", bomb)
        await client.music_details(sandbox.add_music(1)[0])
        tracemalloc.start()

        with pytest.raises(SunoCoverError):
            await client.credits()

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 32 << 20


# --- sessions, loops, closing ---------------------------------------------------------------


async def test_a_borrowed_session_is_used_and_never_closed() -> None:
    async with Sandbox(FREE) as sandbox, aiohttp.ClientSession(raise_for_status=True) as borrowed:
        async with connect(sandbox, session=borrowed) as client:
            (music,) = sandbox.add_music(1)
            await client.generate(music)
            sandbox.script("submit", Fault.LOST_ANSWER)
            assert (await client.submit(music)).adopted

        assert not borrowed.closed
        assert len(sandbox.journal.bills) == 1


def test_one_client_serves_event_loops_in_turn() -> None:
    sandbox = Sandbox(FREE)
    client: SunoCoverClient | None = None

    async def turn() -> float:
        nonlocal client
        async with sandbox:  # the same world at the same address
            client = client or connect(sandbox)
            await asyncio.gather(*(client.credits() for _ in range(5)))
            return await client.credits()

    assert [asyncio.run(turn()) for _ in range(3)] == [1_000_000.0] * 3

    assert client is not None
    asyncio.run(client.aclose())
    gc.collect()


def test_a_client_that_nobody_closed_ends_with_its_loops_without_a_word() -> None:
    program = """
import asyncio
from suno_cover_async import RetryPolicy, SunoCoverClient
from suno_cover_async.sandbox import Sandbox, Scenario

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # the machine may be busy
    async with Sandbox(Scenario(rate_limit=None)) as sandbox:
        once = RetryPolicy(max_attempts=1)
        client = SunoCoverClient(sandbox.api_key, base_url=sandbox.url, retry=once)
        await asyncio.gather(*(client.credits() for _ in range(5)))
        return client

async def again(client):
    asyncio.get_running_loop().slow_callback_duration = 60
    try:
        await client.credits()
    except Exception as error:
        print(type(error).__name__)

client = asyncio.run(main())
asyncio.run(again(client))
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603

    assert ended.stderr == ""
    assert ended.stdout == "TransportError\n"


def test_a_call_that_nobody_goes_on_with_leaves_the_limiter_whole() -> None:
    async def dropped_at(suspension: int) -> bool:
        window = RateLimiter(RateLimit(calls=1, seconds=10))
        async with Sandbox(FREE) as sandbox, connect(sandbox, rate_limit=window) as client:
            with contextlib.suppress(GeneratorExit):
                await thrown(client.credits(), suspension, GeneratorExit())
                return False
            async with asyncio.timeout(21):
                await window.acquire()
            return True

    dropped = [run(dropped_at(suspension)) for suspension in range(1, 7)]

    assert dropped.count(True) > 1
    assert not dropped[-1]


async def test_a_closed_borrowed_session_is_named_at_once() -> None:
    async with Sandbox(FREE) as sandbox:
        borrowed = aiohttp.ClientSession()
        await borrowed.close()
        async with connect(sandbox, session=borrowed) as client:
            with pytest.raises(ClientUsageError, match="session is closed"):
                await client.credits()


async def test_a_client_in_use_in_another_running_loop_says_so() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        await client.credits()

        def elsewhere() -> None:
            asyncio.run(client.credits())

        with pytest.raises(ClientUsageError, match="another running event loop"):
            await asyncio.to_thread(elsewhere)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.submit("song"),
        lambda client: client.generate("song"),
        lambda client: client.wait("task"),
        lambda client: anext(client.watch("task")),
        lambda client: client.details("task"),
        lambda client: client.credits(),
        lambda client: client.music_details("song"),
        lambda client: client.wait_for_music("song"),
    ],
)
async def test_use_after_close_is_a_clear_error(
    call: Callable[[SunoCoverClient], Awaitable[object]],
) -> None:
    client = SunoCoverClient("key")
    await client.aclose()
    await client.aclose()

    with pytest.raises(ClientUsageError, match="closed"):
        await call(client)


async def test_closing_ends_the_waits_with_an_error_and_no_task_is_left() -> None:
    async with Sandbox(Scenario(rate_limit=None, seconds=60)) as sandbox:
        client = connect(
            sandbox, poll=PollPolicy(initial_delay=0.01, min_interval=600, max_interval=600)
        )
        (music,) = sandbox.add_music(1)
        waits = [asyncio.create_task(client.generate(music)) for _ in range(3)]
        await until(lambda: sandbox.journal.of("details"))

        await client.aclose()

        async with asyncio.timeout(5):  # the next look is 10 minutes away
            outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(outcome, ClientUsageError) for outcome in outcomes)


@asynccontextmanager
async def resolving(**options: Any) -> AsyncGenerator[tuple[SunoCoverClient, CoverDetails]]:
    """Have a client, and details, whose hosts' names are looked up without end."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    async def ask(*_: Any, **__: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    loop.getaddrinfo = ask  # type: ignore[method-assign]
    url = "http://localhost:9"
    success: dict[str, Any] = {"status": CoverStatus.SUCCESS, "images": (f"{url}/a.png",)}
    client = SunoCoverClient("key", base_url=url, **options)
    try:
        yield client, CoverDetails(cover_task_id="c", music_task_id="m", **success)
    finally:
        await client.aclose()
    assert asked.is_set()


NAMED: dict[str, Callable[[SunoCoverClient, CoverDetails, Path], Awaitable[object]]] = {
    "submit": lambda client, *_: client.submit("song-1"),
    "generate": lambda client, *_: client.generate("song-2"),
    "wait": lambda client, *_: client.wait("task-1"),
    "details": lambda client, *_: client.details("task-2"),
    "credits": lambda client, *_: client.credits(),
    "wait_for_music": lambda client, *_: client.wait_for_music("song-3"),
    "download": lambda client, details, into: client.download(details, into),
}


@pytest.mark.parametrize("verb", NAMED)
async def test_closing_while_a_name_is_resolved_is_an_error_and_no_cancellation(
    verb: str, tmp_path: Path
) -> None:
    async with resolving() as (client, details):
        calls = [asyncio.ensure_future(NAMED[verb](client, details, tmp_path)) for _ in range(2)]
        await a_moment()

        await client.aclose()

        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, ClientUsageError) for outcome in outcomes), outcomes


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("verb", NAMED)
async def test_a_cancellation_while_a_name_is_resolved_passes_though_the_client_closes_too(
    verb: str, tmp_path: Path, steps: int
) -> None:
    async with resolving() as (client, details):
        call = asyncio.ensure_future(NAMED[verb](client, details, tmp_path))
        await a_moment()
        closing = asyncio.create_task(client.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        was_under_way = call.cancel()
        await closing

        expected = asyncio.CancelledError if was_under_way else ClientUsageError
        with pytest.raises(expected):
            await call


async def test_a_borrowed_session_that_closes_while_a_name_is_resolved_is_named() -> None:
    async with aiohttp.ClientSession() as borrowed, resolving(session=borrowed) as (client, _):
        call = asyncio.create_task(client.credits())
        await a_moment()

        await borrowed.close()

        with pytest.raises(ClientUsageError, match="session is closed"):
            await call


async def slot(client: SunoCoverClient, *_: object) -> None:
    async with client.slot():
        pass


WAITS = {
    "limiter": ["submit", "generate", "wait", "details", "credits", "wait_for_music"],
    "outage": ["submit", "generate", "wait", "details", "credits", "wait_for_music", "download"],
    "retry": ["submit", "wait", "details", "credits", "wait_for_music", "download"],
    "slots": ["generate", "slot"],
}


@pytest.mark.parametrize(
    ("wait", "verb"), [(wait, verb) for wait, verbs in WAITS.items() for verb in verbs]
)
def test_closing_ends_every_wait_at_once_and_a_cancellation_still_passes(
    wait: str, verb: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        url = "http://127.0.0.1:9"  # where nobody listens
        window = RateLimiter(RateLimit(calls=99, seconds=1))
        retry = RetryPolicy(initial_delay=600, max_delay=600, total_timeout=900)
        client = SunoCoverClient("key", base_url=url, rate_limit=window, retry=retry, concurrency=2)
        success: dict[str, Any] = {"status": CoverStatus.SUCCESS, "images": (f"{url}/a.png",)}
        details = CoverDetails(cover_task_id="c", music_task_id="m", **success)
        async with contextlib.AsyncExitStack() as stack:
            if wait == "limiter":
                window.pause(600)
            for breaker in [client.breakers.api, client.breakers.submit, client.breakers.images]:
                if wait == "outage":
                    stack.enter_context(breaker.armed())
                    for _ in range(5):
                        breaker.record(Admission(times_opened=0), TransportError("no answer"))
                    # It probes without end.
                    assert isinstance(await breaker.wait_for_admission(60), Admission)
            for _ in range(2 if wait == "slots" else 0):
                await stack.enter_async_context(client.slot())
            act = (NAMED | {"slot": slot})[verb]
            calls = [asyncio.ensure_future(act(client, details, tmp_path)) for _ in range(2)]
            await asyncio.sleep(5)
            assert not any(call.done() for call in calls)
            began = clock()
            calls[0].cancel()

            await client.aclose()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)

            assert isinstance(outcomes[0], asyncio.CancelledError)
            assert isinstance(outcomes[1], ClientUsageError)
            assert clock() == began

    run(scenario())


async def a_moment() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


# --- arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    ["", " ", "a b", "a\n", "a\x00", "ä", "x" * 129, "https://suno.com/song/1", 5, None, b"a"],
)
async def test_an_odd_id_is_refused_before_anything_is_sent(odd: Any) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        for verb in (client.submit, client.generate, client.music_details, client.wait_for_music):
            with pytest.raises((ValueError, TypeError), match="music_task_id"):
                await verb(odd)
        for poll in (client.wait, client.details):
            with pytest.raises((ValueError, TypeError), match="task"):
                await poll(odd)
        with pytest.raises((ValueError, TypeError), match="task"):
            client.watch(odd)

        assert not sandbox.journal.arrivals


@pytest.mark.parametrize("key", ["", " ", "se cret", "secret\n", "secret\x00", "sécret"])
def test_an_odd_key_is_refused_and_never_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        SunoCoverClient(key)

    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    ours = shown.split("suno_cover_async/client.py")[-1]
    assert not key.strip() or key not in ours
    assert not key.strip() or key not in str(caught.value)


def test_a_missing_key_says_where_it_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUNO_API_KEY", raising=False)

    with pytest.raises(ValueError, match="SUNO_API_KEY"):
        SunoCoverClient()


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNO_API_KEY", "from-the-environment")

    SunoCoverClient()


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "http://10.0.0.1",
        "ftp://api.example.com",
        "api.example.com",
        "https://",
        "https://user:word@api.example.com",
        "https://api.example.com?x=1",
        "https://api.example.com#x",
        "https://api.example.com?",
        "https://api.example.com#",
        "https://api.example.com:99999",
        "https://api example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
    ],
)
def test_a_base_url_that_would_leak_the_key_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        SunoCoverClient("key", base_url=url)


@pytest.mark.parametrize(
    "url", ["https://p.example/suno/", "http://127.0.0.1:1", "http://localhost", "http://[::1]:8"]
)
def test_https_anywhere_and_http_on_loopback_are_fine(url: str) -> None:
    SunoCoverClient("key", base_url=url)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("concurrency", 0),
        ("concurrency", 1.5),
        ("concurrency", "9"),
        ("callback_url", "ftp://x"),
        ("callback_url", "x"),
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_argument(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=argument):
        SunoCoverClient(**({"api_key": "key"} | {argument: value}))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("api_key", 5),
        ("api_key", b"key"),
        ("host", "kie"),
        ("base_url", ""),
        ("base_url", 5),
        ("callback_url", ""),
        ("rate_limit", 20),
        ("rate_limit", None),
        ("poll_rate_limit", 3),
        ("poll", 5),
        ("poll", None),
        ("retry", 3),
        ("session", "x"),
        ("session", aiohttp.ClientSession),
    ],
)
def test_a_wrong_kind_of_argument_is_refused_at_once_and_by_name(argument: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=argument):
        SunoCoverClient(**({"api_key": "key"} | {argument: value}))


@pytest.mark.parametrize("timeout", ["5", 10**400, 0, -1, float("nan"), float("inf")])
async def test_a_nonsense_timeout_is_refused(timeout: Any) -> None:
    async with SunoCoverClient("key") as client:
        with pytest.raises((ValueError, TypeError), match="timeout"):
            await client.wait("task", timeout=timeout)
        with pytest.raises((ValueError, TypeError), match="timeout"):
            await client.wait_for_music("song", timeout=timeout)


# --- the package ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        RateLimitError("x", code=429, http_status=200, music_task_id="m"),
        CoverTimeoutError("x", cover_task_id="c"),
        suno_cover_async.CoverFailedError(
            suno_cover_async.CoverDetails(cover_task_id="c", status=CoverStatus.FAILED)
        ),
        MusicFailedError(suno_cover_async.MusicDetails(music_task_id="m", status="FAILED")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling_with_their_facts(error: SunoCoverError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert (copy.code, copy.music_task_id, copy.cover_task_id, copy.retryable) == (
        error.code,
        error.music_task_id,
        error.cover_task_id,
        error.retryable,
    )


async def test_two_clients_of_one_account_share_a_window() -> None:
    rate_limit = RateLimit(calls=5, seconds=0.2)
    window = RateLimiter(rate_limit)
    async with Sandbox(Scenario(rate_limit=rate_limit)) as sandbox:
        async with (
            connect(sandbox, rate_limit=window) as first,
            connect(sandbox, rate_limit=window) as second,
        ):
            await asyncio.gather(
                *(client.credits() for client in (first, second) for _ in range(10))
            )

        assert all(arrival.admitted for arrival in sandbox.journal.arrivals)


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_covers_are_made_on_uvloop_as_well() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def cover() -> int:
        limit = RateLimit(calls=20, seconds=0.2)
        async with Sandbox(Scenario(rate_limit=limit, seconds=(0.05, 0.2))) as sandbox:
            songs = sandbox.add_music(50)
            async with connect(sandbox, rate_limit=limit) as client:
                covers = await asyncio.gather(*map(client.generate, songs))
            async with connect(sandbox, rate_limit=limit) as client:  # looks that are due at once
                again = await asyncio.gather(*(client.wait(one.cover_task_id) for one in covers))
            assert again == covers
            return len(sandbox.journal.bills)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(cover()) == 50
