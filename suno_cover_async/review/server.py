"""Run the review page by itself: listen, let people in by URLs, and refuse other hosts.

It knows sockets and aiohttp's server. It prints nothing: the command line does.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from typing import cast

from aiohttp import web

from suno_cover_async.common.addresses import is_loopback
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.review.app import make_app
from suno_cover_async.review.guard import from_this_page, known_hosts
from suno_cover_async.review.pairs import Destinations
from suno_cover_async.review.requests import MOST_SECONDS
from suno_cover_async.review.sessions import Sessions

MOST_CONNECTIONS = 100
"""More are closed at once: they would use up the file descriptors, which images need as well."""

_SHUTDOWN = 5.0  # seconds for requests that are being answered
_LINGERING = 1.0
_SILENT = logging.CRITICAL + 1


@contextlib.asynccontextmanager
async def listen(
    ledger: str | os.PathLike[str] | Ledger,
    *,
    host: str,
    port: int,
    people: Sequence[str],
    renewed: Callable[[str, str], None],
    names: Collection[str] = (),
    destinations: Destinations | None = None,
    next_step: str = "",
) -> AsyncGenerator[dict[str, str], None]:
    """Serve the page until the block is left.

    Args:
        ledger: The ledger, or its path.
        host: The address to listen on.
        port: The TCP port; 0 chooses a free one.
        people: Who may choose; each gets a URL with a one-time token.
        renewed: Called when a URL was used, with the person's name and the next URL.
        names: Host names by which browsers may call the page, besides localhost.
        destinations: As for `review_app`.
        next_step: As for `review_app`.

    Yields:
        Each person's URL.

    Raises:
        OSError: It cannot listen there.
        LedgerError: The ledger cannot be used.
    """

    def protocol() -> asyncio.Protocol:
        server = cast("web.Server", runner.server)
        return server() if len(server.connections) < MOST_CONNECTIONS else _Refused()

    async with contextlib.AsyncExitStack() as stack:
        # The port is in the name of the cookie and in every Host, so it is bound first; nothing is
        # accepted before `start_serving`.
        listener = await asyncio.get_running_loop().create_server(
            protocol, host, port, start_serving=False
        )
        stack.callback(listener.close)
        port = listener.sockets[0].getsockname()[1]
        where = f"[{host}]" if ":" in host else host

        def url(token: str) -> str:
            return f"http://{where}:{port}/?token={token}"

        sessions = Sessions(
            people,
            cookie=f"suno-review-{port}",
            used=lambda person, token: renewed(person, url(token)),
        )
        app = make_app(
            ledger,
            guards=[
                known_hosts(port, [where, *names], any_address=not is_loopback(host)),
                sessions.guard,
                from_this_page("http"),
            ],
            person=sessions.person,
            destinations=destinations,
            next_step=next_step,
        )
        app.router.add_post("/api/session", sessions.post, name="session")
        runner = web.AppRunner(
            app,
            access_log=None,
            # aiohttp's own logger quotes malformed requests, including URLs with their tokens
            logger=logging.Logger("silent", _SILENT),  # noqa: LOG001
            auto_decompress=False,
            keepalive_timeout=MOST_SECONDS,  # also for headers that do not come
            lingering_time=_LINGERING,
            shutdown_timeout=_SHUTDOWN,
        )
        stack.push_async_callback(runner.cleanup)
        # Before that: a connection that is accepted during the clean-up would never be closed.
        stack.callback(listener.close)
        await runner.setup()
        await listener.start_serving()
        yield {person: url(token) for person, token in sessions.tokens.items()}


class _Refused(asyncio.Protocol):
    """A connection that is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
