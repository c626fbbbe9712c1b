"""Where images may come from: redirects, schemes and private addresses."""

import asyncio
import time
from pathlib import Path

import pytest

from suno_cover_async.errors import (
    DownloadError,
)
from suno_cover_async.images.downloader import ImageDownloader
from tests.support.image_hosts import AGENT, PNG, downloading, refused
from tests.support.peers import Peer, answer
from tests.support.waiting import until


def redirect(location: str, *headers: str, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {location}", *headers, status=status)


async def test_neither_key_nor_cookie_nor_environment_reaches_the_image_host(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    host.answers["/a"] = redirect("/b", "Set-Cookie: session=1; Path=/")
    host.answers["/b"] = answer(PNG, "Set-Cookie: session=2; Path=/")

    for name in ("one", "two"):
        await downloader.fetch(f"http://localhost:{host.port}/a", tmp_path / name)

    heads = [request.decode() for request in host.received]
    assert len(heads) == 4
    for head in heads:
        names = {line.partition(":")[0].lower() for line in head.split("\r\n")[1:] if line}
        assert names == {"host", "accept", "accept-encoding", "user-agent"}
        assert f"User-Agent: {AGENT}" in head
        assert "Accept-Encoding: identity" in head


@pytest.mark.parametrize(
    ("part", "often"),
    [("\ufdfa" * 8000, 1), ("\u337f\u337f\u337f." * 2000, 1), ("\ufdfa" * 250, 16)],
)
async def test_no_host_name_takes_long_to_refuse(tmp_path: Path, part: str, often: int) -> None:
    async with downloading() as downloader:
        began = time.process_time()
        fetches = (downloader.fetch(f"https://{n}{part}/", tmp_path / "a") for n in range(often))
        errors = [await refused(fetch) for fetch in fetches]
        took = time.process_time() - began

    assert {(type(error), error.retryable) for error in errors} == {(DownloadError, False)}
    assert took < 1.0


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001"])
async def test_loopback_is_refused_at_connect_unless_the_api_is_there(
    host: Peer, tmp_path: Path, name: str
) -> None:
    url = f"https://{name}:{host.port}/a.png?token=secret"

    async with downloading(loopback=False) as downloader:
        error = await refused(downloader.fetch(url, tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert name in str(error)
    assert "secret" not in str(error)
    _, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.close()
    await until(lambda: host.received)
    assert len(host.received) == 1  # ours, just now: connections are accepted in their order


async def test_loopback_is_connected_to_when_the_api_is_there(
    downloader: ImageDownloader, tmp_path: Path
) -> None:
    reached = asyncio.Event()

    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        writer.write(b"this is no TLS")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await refused(downloader.fetch(f"https://localhost:{port}/a", tmp_path / "a"))

    assert reached.is_set()
    assert error.retryable
