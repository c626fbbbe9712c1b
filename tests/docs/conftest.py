"""The built site, served on loopback, and a browser that records what its pages ask for."""

import contextlib
import functools
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:  # where playwright is missing, the modules of tests are skipped
    from playwright.async_api import Browser

SITE = Path(__file__).parents[2] / "site"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve files, and write no log."""

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").exists():
        pytest.skip("the site is not built: `nox -s docs` builds it")
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> "AsyncIterator[Browser]":
    from tests.support.browsers import chromium  # noqa: PLC0415 - it skips without playwright

    async with contextlib.AsyncExitStack() as stack:
        yield await stack.enter_async_context(chromium())
