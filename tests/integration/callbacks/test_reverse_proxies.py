"""Callbacks through nginx and Caddy, set up as docs/how-to/callbacks.md says."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from suno_cover_async import CallbackReceiver, PollPolicy
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.integration.test_code_blocks import blocks_of
from tests.support.clients import connect
from tests.support.commands import a_free_port
from tests.support.waiting import until

PAGE = "docs/how-to/callbacks.md"
HOURS = 50_000.0
PATIENT = PollPolicy(fallback_delay=HOURS, fallback_interval=HOURS, timeout=10 * HOURS)

NGINX = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    server {{
        listen 127.0.0.1:{port};
        {block}
    }}
}}
"""
CADDY = """
{{
    admin off
}}
{block}
"""


@attrs.frozen
class Proxy:
    """A kind of reverse proxy.

    Attributes:
        language: The language of its block on the page.
        around: What stands around that block in a whole configuration.
        command: What runs it in the folder of its configuration.
    """

    language: str
    around: str
    command: tuple[str, ...]

    def configuration(self, port: int, application: int) -> str:
        """Return the page's block in a whole configuration; the page's ports are replaced."""
        (block,) = blocks_of(PAGE, self.language)
        for printed, here in (
            ("127.0.0.1:8000", f"127.0.0.1:{application}"),
            ("me.example {", f"http://127.0.0.1:{port} {{"),
        ):
            block = block.replace(printed, here)
        return self.around.format(port=port, block=block)


PROXIES = (
    Proxy("nginx", NGINX, ("nginx", "-p", ".", "-c", "configuration", "-e", "stderr")),
    Proxy(
        "caddyfile", CADDY, ("caddy", "run", "--config", "configuration", "--adapter", "caddyfile")
    ),
)


@asynccontextmanager
async def running(proxy: Proxy, folder: Path, port: int, application: int) -> AsyncIterator[Path]:
    """Run a proxy on one port in front of an application on another; yield the file of its log."""
    name = proxy.command[0]
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed")
    (folder / "configuration").write_text(proxy.configuration(port, application))
    log = folder / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(program, *proxy.command[1:]),
            cwd=folder,
            env={"HOME": str(folder)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        await until(lambda: is_open(port) or process.returncode is not None, every=0.02)
        assert process.returncode is None, log.read_text()
        yield log
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.command[0])
async def test_behind_a_proxy_of_the_page_a_callback_ends_the_wait(
    proxy: Proxy, tmp_path: Path
) -> None:
    port = a_free_port()
    receiver = CallbackReceiver(public_url=f"http://127.0.0.1:{port}/suno", secret="s" * 32)
    app = web.Application()
    app.router.add_route("*", "/suno/{tail:.*}", receiver.handle)
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=0.1)) as sandbox,
        TestServer(app) as server,
        running(proxy, tmp_path, port, server.port or 0) as log,
        connect(sandbox, receiver=receiver, poll=PATIENT) as client,
        aiohttp.ClientSession() as session,
    ):
        [song] = sandbox.add_music()
        details = await client.generate(song)
        url, logged = receiver.url(song), log.read_text()
        async with session.post(url, data=b"{" * 66_000) as response:
            too_large = response.status

    assert len(details.images) == 2
    assert [arrival.kind for arrival in sandbox.journal.arrivals] == ["submit", "details"]
    assert [(one.url, one.status) for one in sandbox.journal.callbacks] == [(url, 200)]
    assert too_large in {413, 502}  # Caddy 2.6 answers 502
    assert url.rpartition("/")[2] not in logged
