"""The server: the Model Context Protocol over standard input and output.

It owns what is open while it serves, and how it ends: when the host closes standard input, or by
`drain` at SIGTERM. Standard output is the protocol's alone: whatever else is written to it in this
process goes to standard error.
"""

import contextlib
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

try:
    from mcp.server import Server
    from mcp.server.stdio import stdio_server
except ImportError as _error:
    raise ModuleNotFoundError(
        "the server for agents needs the library mcp: pip install 'suno-cover-async[mcp]'",
        name="mcp",
    ) from _error

import anyio

from suno_cover_async.agents.line_input import LineInput
from suno_cover_async.agents.run import AgentRun
from suno_cover_async.agents.schemas import INSTRUCTIONS
from suno_cover_async.agents.tools import Tools
from suno_cover_async.client import SunoCoverClient
from suno_cover_async.common.version import __version__
from suno_cover_async.ledger.ledger import Ledger


class AgentServer:
    """A server with one client, one ledger and one limit of covers."""

    def __init__(
        self, client: SunoCoverClient, ledger: Ledger, *, into: Path, max_covers: int
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            client: The client, which is closed at the end.
            ledger: A ledger in a file, which is closed at the end.
            into: The folder of the images.
            max_covers: The most covers in the life of the ledger.
        """
        self._client = client
        self._ledger = ledger
        self._into = into
        self._max_covers = max_covers
        self._run: AgentRun | None = None

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[AgentRun, None]:
        """Open the ledger and the client, and begin to finish what is paid for.

        Raises:
            LedgerError: Another process holds the ledger, it belongs to another account, or it
                cannot be used.
        """
        # The ledger is entered first, so that it closes last: closing the client finishes submits
        # that are on the wire, and their cover task ids must still be written.
        async with self._ledger, self._client:
            run = AgentRun(self._client, self._ledger, into=self._into, max_covers=self._max_covers)
            async with run:
                self._run = run
                yield run

    async def serve(self, run: AgentRun) -> None:
        """Answer the host until it closes standard input, or reads no more.

        A submit that was sent is finished as the run is left.
        """
        tools = Tools(self._client, run)
        server = Server(
            "suno-cover",
            version=__version__,
            instructions=INSTRUCTIONS,
            on_list_tools=tools.listed,
            on_call_tool=tools.call,
        )
        lines = cast("anyio.AsyncFile[str]", LineInput(sys.stdin.fileno()))
        try:
            async with stdio_server(stdin=lines) as (requests, answers):
                await server.run(requests, answers, server.create_initialization_options())
        except* OSError:  # nobody reads standard output any more
            pass

    async def drain(self) -> bool:
        """Submit nothing more, and wait for submits on the wire, for 20 s at most.

        Returns:
            Whether every submit that was sent is answered, and its answer recorded.
        """
        return True if self._run is None else await self._run.drain()

    async def abandon(self) -> None:
        """Do nothing: what is not answered is recorded as possibly billed, and tried again."""
