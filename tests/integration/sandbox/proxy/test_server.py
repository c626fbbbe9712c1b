"""The fault proxy judged at both of its ends with bare sockets, never by our client."""

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest

from suno_cover_async.protocol import requests
from suno_cover_async.sandbox import FaultProxy, Sandbox, Scenario, Wire, WireFault
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

BODY = b'{"code":200}' * 20
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
GET = b"GET /api?taskId=secret HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /api HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n" + b"a" * 30
RESET, END = "reset", "end"


@attrs.define
class Host:
    """A bare host: answers every whole request, and keeps what came, by connection."""

    port: int = 0
    came: list[bytearray] = attrs.field(factory=list[bytearray])
    ended: list[str] = attrs.field(factory=list[str])
    pieces: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came = bytearray()
        self.came.append(came)
        try:
            while piece := await reader.read(65536):
                self.pieces += 1
                came += piece
                if bytes(came).endswith((GET, POST)):
                    writer.write(ANSWER)
            self.ended.append(END)
        except ConnectionResetError:
            self.ended.append(RESET)
        writer.close()

    @property
    def requests(self) -> int:
        return sum(came.count(GET) + came.count(POST) for came in map(bytes, self.came))


class Client:
    """A bare connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def ask(self, request: bytes = GET) -> None:
        self.writer.write(request)

    async def answer(self) -> bytes:
        return await self.reader.readexactly(len(ANSWER))

    async def rest(self) -> tuple[bytes, str]:
        """Read what comes until the connection ends, and tell how it does."""
        came = b""
        try:
            while piece := await self.reader.read(65536):
                came += piece
        except ConnectionResetError:
            return came, RESET
        return came, END


@asynccontextmanager
async def way(wire: Wire | None = None) -> AsyncIterator[tuple[FaultProxy, Host]]:
    host = Host()
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    async with server:
        host.port = server.sockets[0].getsockname()[1]
        async with FaultProxy(f"http://127.0.0.1:{host.port}", wire) as proxy:
            yield proxy, host
        await until(lambda: len(host.ended) == len(host.came))


@asynccontextmanager
async def calling(proxy: FaultProxy) -> AsyncIterator[Client]:
    port = int(proxy.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def test_a_good_wire_passes_everything_on_and_keeps_connections() -> None:
    async with way() as (proxy, host), calling(proxy) as client:
        for request in (GET, POST, GET):
            client.ask(request)

            assert await client.answer() == ANSWER

        assert host.came == [GET + POST + GET]
        assert [(one.method, one.path) for one in proxy.exchanges] == [
            ("GET", "/api"),
            ("POST", "/api"),
            ("GET", "/api"),
        ]
        assert proxy.progress == {WireFault.NONE: 3}


@pytest.mark.parametrize("first", [0, 2], ids=["at once", "after two exchanges"])
@pytest.mark.parametrize(
    ("fault", "asked", "end"),
    [
        (WireFault.REFUSED, "nothing", RESET),
        (WireFault.RESET_BEFORE, "nothing", RESET),
        (WireFault.RESET_IN_REQUEST, "a part", RESET),
        (WireFault.RESET_AFTER_REQUEST, "all", RESET),
        (WireFault.RESET_IN_ANSWER, "all", RESET),
        (WireFault.CUT_IN_REQUEST, "a part", END),
        (WireFault.CUT_IN_ANSWER, "all", END),
        (WireFault.GARBAGE, "all", END),
        (WireFault.GARBAGE_INSIDE, "all", END),
    ],
)
async def test_a_broken_exchange_brings_no_whole_answer_and_ends_the_connection(
    fault: WireFault, asked: str, end: str, first: int
) -> None:
    async with way() as (proxy, host), calling(proxy) as client:
        for _ in range(first):
            client.ask()
            await client.answer()
        proxy.script(fault)
        client.ask(POST)
        came, ended = await client.rest()

        await until(lambda: host.ended)
        seen = bytes(host.came[0]).removeprefix(GET * first)
        assert ended == end
        assert len(came) < len(ANSWER)
        assert POST.startswith(seen)
        assert {"nothing": seen == b"", "a part": b"" < seen < POST, "all": seen == POST}[asked]
        assert proxy.progress == Counter([WireFault.NONE] * first + [fault])


async def test_what_breaks_in_a_request_breaks_at_the_host_in_the_same_way() -> None:
    async with way() as (proxy, host):
        for fault in (WireFault.RESET_IN_REQUEST, WireFault.CUT_IN_REQUEST):
            proxy.script(fault)
            async with calling(proxy) as client:
                client.ask()
                await client.rest()
            await until(lambda: len(host.ended) == len(host.came))

        assert host.ended == [RESET, END]


@pytest.mark.parametrize("seed", range(3))
async def test_what_breaks_in_an_answer_breaks_at_any_byte_of_it(seed: int) -> None:
    async with way(Wire(cuts=1, seed=seed)) as (proxy, host):
        lengths = set[int]()
        for _ in range(40):
            async with calling(proxy) as client:
                client.ask()
                came, _ = await client.rest()
                assert ANSWER.startswith(came)
                lengths |= {len(came)}

        assert len(lengths) > 10
        assert proxy.progress[WireFault.CUT_IN_ANSWER] == host.requests


async def test_while_it_refuses_nobody_listens_and_then_the_same_address_does() -> None:
    async with way(Wire(refusal=0.05)) as (proxy, host):
        proxy.script(WireFault.REFUSED)
        async with calling(proxy) as client:
            client.ask()
            await client.rest()

        with pytest.raises(ConnectionRefusedError):
            async with calling(proxy):
                pass
        async with asyncio.timeout(100):
            while len(proxy.exchanges) < 2:
                try:
                    async with calling(proxy) as client:
                        client.ask()
                        assert await client.answer() == ANSWER
                except ConnectionRefusedError:
                    await asyncio.sleep(0)
        assert host.requests == 1


async def test_a_stalled_request_reaches_the_host_after_its_client_has_left() -> None:
    async with way() as (proxy, host):
        proxy.script(WireFault.STALLED_REQUEST)
        async with calling(proxy) as client:
            client.ask(POST)
            await until(lambda: any(host.came))
            assert host.requests == 0
        await until(lambda: host.requests)

        assert host.came == [POST]


async def test_what_is_stalled_goes_on_when_its_time_is_over() -> None:
    async with way(Wire(stall=0.02)) as (proxy, host), calling(proxy) as client:
        for fault in (WireFault.STALLED_REQUEST, WireFault.STALLED_ANSWER, WireFault.NONE):
            proxy.script(fault)
            client.ask()

            assert await client.answer() == ANSWER
        assert host.came == [GET * 3]


async def test_a_stalled_answer_stays_a_part_for_as_long_as_the_client_waits() -> None:
    async with way(Wire(seed=1)) as (proxy, host), calling(proxy) as client:
        proxy.script(WireFault.STALLED_ANSWER)
        client.ask()

        rest = asyncio.create_task(client.rest())
        await until(lambda: host.requests)
        for _ in range(50):
            await asyncio.sleep(0)
        waited = not rest.done()
        await proxy.__aexit__(None, None, None)
        part, _ = await rest
        assert waited
        assert b"" < part < ANSWER
        assert ANSWER.startswith(part)


async def test_what_trickles_comes_whole_and_in_many_pieces() -> None:
    async with way() as (proxy, host), calling(proxy) as client:
        proxy.script(WireFault.TRICKLED)
        client.ask(POST)

        assert await client.answer() == ANSWER
        assert host.came == [POST]
        assert host.pieces > len(POST) / 4


async def test_garbage_comes_before_a_whole_answer_and_the_connection_stays() -> None:
    async with way() as (proxy, _), calling(proxy) as client:
        proxy.script(WireFault.GARBAGE_BEFORE)
        client.ask()
        came = await client.reader.readuntil(ANSWER)
        client.ask()

        assert await client.answer() == ANSWER
        assert len(came) > len(ANSWER)


@pytest.mark.parametrize("echo", [0.0, 0.01])
async def test_an_echo_is_the_answer_once_more(echo: float) -> None:
    async with way(Wire(echo=echo)) as (proxy, host), calling(proxy) as client:
        proxy.script(WireFault.ECHOED)
        client.ask()

        assert await client.answer() == ANSWER
        assert await client.answer() == ANSWER
        assert host.requests == 1


async def test_who_asks_on_is_not_met_by_an_echo() -> None:
    async with way(Wire(echo=0.01)) as (proxy, host), calling(proxy) as client:
        proxy.script(WireFault.ECHOED, WireFault.CUT_IN_REQUEST)
        client.ask()
        await client.answer()
        client.ask()

        assert await client.rest() == (b"", END)
        assert host.requests == 1


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "http://example.com:80", "http://127.0.0.1", "127.0.0.1:80", ""]
)
def test_it_leads_to_this_machine_only(url: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        FaultProxy(url)


def test_it_has_no_address_before_it_is_entered() -> None:
    proxy = FaultProxy("http://127.0.0.1:1")

    with pytest.raises(RuntimeError, match="entered"):
        _ = proxy.url
    assert repr(proxy) == "FaultProxy()"


async def test_a_host_that_is_gone_is_a_reset() -> None:
    async with Sandbox() as sandbox:
        url = sandbox.url
    async with FaultProxy(url) as proxy, calling(proxy) as client:
        client.ask()

        assert await client.rest() == (b"", RESET)


async def test_leaving_it_ends_every_connection_and_every_stall() -> None:
    async with way() as (proxy, host), calling(proxy) as idle, calling(proxy) as stalled:
        proxy.script(WireFault.NONE, WireFault.STALLED_REQUEST)
        idle.ask()
        await idle.answer()
        stalled.ask()
        await until(lambda: len(host.came) == 2 and host.came[1])
        await proxy.__aexit__(None, None, None)

        assert await idle.rest() == (b"", RESET)
        assert await stalled.rest() == (b"", RESET)


async def test_a_port_that_is_taken_is_an_error_and_leaves_no_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy = FaultProxy("http://127.0.0.1:1", port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await proxy.__aenter__()
    del proxy

    gc.collect()  # what is open would be warned of


async def test_cancelled_at_any_moment_it_gives_its_port_back() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()

    async def pass_through() -> None:
        async with FaultProxy("http://127.0.0.1:1", port=place[1]):
            await asyncio.sleep(0)

    moment, under_way = 0, True
    while under_way:
        passing = asyncio.create_task(pass_through())
        for _ in range(moment):
            await asyncio.sleep(0)
        under_way = passing.cancel()
        await asyncio.wait([passing])
        moment += 1

        with socket.socket() as again:
            again.bind(place)
    assert moment > 5


async def test_entered_again_it_has_the_same_address() -> None:
    async with way() as (proxy, _):
        url = proxy.url
        await proxy.__aexit__(None, None, None)
        await proxy.__aenter__()
        async with calling(proxy) as client:
            client.ask()

            assert await client.answer() == ANSWER
        assert proxy.url == url


async def test_a_connection_that_the_host_ends_while_it_idles_ends_for_its_client() -> None:
    async with Sandbox() as sandbox, FaultProxy(sandbox.url) as proxy, calling(proxy) as client:
        client.ask()
        await client.reader.readuntil(b"1010")
        await sandbox.__aexit__(None, None, None)

        assert await client.rest() == (b"", END)


@pytest.mark.parametrize("named", ["proxy", "another host"])
async def test_what_the_sandbox_answers_through_it_leads_to_images_through_it(named: str) -> None:
    async with Sandbox(Scenario(polls=1)) as sandbox, FaultProxy(sandbox.url) as proxy:
        (song,) = sandbox.add_music(1)
        host = {"proxy": proxy.url[7:], "another host": "127.0.0.1.example.com:80"}[named]
        head = f"Host: {host}\r\nUser-Agent: me\r\nAuthorization: Bearer {sandbox.api_key}\r\n"
        body = f'{{"taskId":"{song}","callBackUrl":"https://example.com"}}'
        submit = (
            f"POST {requests.SUBMIT_PATH} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        )
        async with calling(proxy) as client:
            client.ask((submit + body).encode())
            await client.reader.readuntil(b"}}")
            (bill,) = sandbox.journal.bills
            poll = f"GET {requests.DETAILS_PATH}?taskId={bill.cover_task_id} HTTP/1.1\r\n{head}\r\n"
            client.ask(poll.encode())
            answer = await client.reader.readuntil(b".png")

        place = {"proxy": proxy.url, "another host": sandbox.url}[named]
        assert answer.rpartition(b'"')[2].startswith(place.encode())
