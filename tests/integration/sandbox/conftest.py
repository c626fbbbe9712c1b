"""Fixtures that the tests of this folder share."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.support.raw_sandbox import (
    Mailbox,
)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    runner = web.ServerRunner(web.Server(box.keep, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    box.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    yield box
    await runner.cleanup()
    await asyncio.sleep(0)  # its sockets close now
